"""Write a masked language model as a SavedModel: texts with gaps in, words out.

- `serving_default(text)`: `token` and `score`, (texts, most masks, top), the likeliest
  first; `masks`, int32 (texts,), how many masks each text has. Behind those of a text
  `token` is "" and `score` 0.
- `tokens(input_ids, attention_mask, token_type_ids)`: `logits` of all tokens.

A text longer than the model takes is refused, as by `MaskedLM.predict_text`: cut off,
its last masks would be lost.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import tensorflow as tf

from kerasft.layers.packing import packed_tokens
from kerasft.serving.saving import Limits, logits_of, save, tokens_function


@dataclass(frozen=True)
class MaskFace:
    """What a served masked language model takes and shows.

    Args:
        limits: of token ids.
        names: what each token reads, in the order of the logits.
        top: how many tokens are told of each mask.
    """

    limits: Limits
    names: tuple[str, ...]
    top: int


def export_guesser(
    folder: str | Path,
    model,
    face: MaskFace,
    graph=None,
    check: Callable[[Path], object] | None = None,
):
    """Write the SavedModel; `folder` holds the old one, or the whole new one.

    Args:
        folder: where to; an earlier export there is replaced.
        model: a `keras.Model`, dict of int32 (batch, length), with `masked_positions`
            (batch, masked), to logits of all tokens, or of those.
        face: what it takes and shows.
        graph: a `MaskGraph` of more tokens than the model takes, by which it is seen
            that a text is too long. Without one `serving_default` takes token ids.
        check: called with the new folder before it takes its place.
    """
    tokens = tokens_function(model, face.limits, lambda logits: {"logits": logits})
    signatures = {"tokens": tokens, "serving_default": tokens}
    if graph:
        signatures["serving_default"] = tf.function(
            lambda text: _guesses(model, face, graph, text),
            [tf.TensorSpec([None], tf.string, name="text")],
        )
    save(folder, model, signatures, graph, check=check)


def _guesses(model, face, graph, text):
    inputs = graph(text)
    ids = inputs["input_ids"]
    fits = tf.debugging.assert_less_equal(
        tf.shape(ids)[1],
        face.limits.max_length,
        f"A text has more than the {face.limits.max_length} tokens the model takes. "
        "Give the sentences around the mask alone.",
    )
    is_mask = ids == graph.mask_id
    columns = tf.broadcast_to(tf.range(tf.shape(ids)[1]), tf.shape(ids))
    positions = tf.ragged.boolean_mask(columns, is_mask).to_tensor()
    with tf.control_dependencies([fits]), packed_tokens():
        logits = logits_of(model, inputs | {"masked_positions": positions})
    best, numbers = tf.math.top_k(logits, face.top)
    score = tf.exp(best - tf.reduce_logsumexp(logits, -1, keepdims=True))
    masks = tf.reduce_sum(tf.cast(is_mask, tf.int32), -1)
    known = tf.sequence_mask(masks, tf.shape(positions)[1])[..., tf.newaxis]
    return {
        "token": tf.where(known, tf.gather(list(face.names), numbers), ""),
        "score": tf.where(known, score, 0.0),
        "masks": masks,
    }
