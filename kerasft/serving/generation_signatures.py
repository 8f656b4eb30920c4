"""Write a causal language model as a SavedModel: prompts in, texts out.

- `serving_default(text)`: `text`, the likeliest continuation, token by token;
- `generate(text, max_new_tokens, temperature, top_k, top_p, seed)`, all but the first
  scalars: `text`; temperature 0 takes the likeliest token, top_k 0 and top_p 1 cut off
  none. The numbers mean what they do in `CausalLM.generate`, and give the same texts;
- `score(text)`: `log_likelihood` and `tokens`, (texts,), of all tokens but the first,
  the end of text included;
- `tokens(input_ids, attention_mask, token_type_ids)`: `logits`.

A prompt that leaves no room for the new tokens is refused, and so is one of no token.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import tensorflow as tf

from kerasft.sampling.cached import CachedDecoder
from kerasft.sampling.served import ServedDecoding
from kerasft.sampling.settings import Sampling
from kerasft.serving.saving import Limits, logits_of, save, tokens_function

SETTINGS = {
    "max_new_tokens": tf.int32,
    "temperature": tf.float32,
    "top_k": tf.int32,
    "top_p": tf.float32,
    "seed": tf.int32,
}


@dataclass(frozen=True)
class WriterFace:
    """What a served language model takes and gives.

    Args:
        limits: of token ids.
        positions: the most tokens of prompt and answer together.
        opening, closing: ids before and after each text that is scored; the first
            stand before a prompt, too.
        end_ids: tokens that end a text.
        max_new_tokens: of `serving_default`.
    """

    limits: Limits
    positions: int
    opening: tuple[int, ...]
    closing: tuple[int, ...]
    end_ids: tuple[int, ...]
    max_new_tokens: int


class WriterGraph(tf.Module):
    """Both ways between text and tokens.

    Args:
        tokens: a `TokenGraph`.
        texts: token ids, ragged (batch, tokens), to strings.
    """

    def __init__(self, tokens, texts):
        super().__init__(name="writer_graph")
        self.tokens = tokens
        self.texts = texts

    def ids(self, text):
        """Ids of texts, ragged int32 (batch, tokens)."""
        with tf.device("CPU"):
            return tf.cast(self.tokens.token_ids(text), tf.int32)

    def following(self, prompts, made):
        """What ids add to the texts of others, strings (batch,).

        Read alone they might lose a space before them. Where the whole does not begin
        with the text of the prompt, they are read alone.

        Args:
            prompts, made: ids, ragged int32 (batch, tokens).
        """
        with tf.device("CPU"):
            before = self.texts(prompts)
            whole = self.texts(tf.concat([prompts, made], axis=1))
            size = tf.strings.length(before)
            begins = tf.strings.substr(whole, tf.zeros_like(size), size) == before
            behind = tf.strings.substr(
                whole, tf.where(begins, size, 0), tf.strings.length(whole)
            )
            return tf.where(begins, behind, self.texts(made))


def _framed(before, ids, after=()):
    """Ids, ragged (batch, tokens), with the same ones before and after each row."""
    with tf.device("CPU"):
        sides = [_every_row(side, ids) for side in (before, after)]
        return tf.concat([sides[0], ids, sides[1]], axis=1)


def _every_row(ids, rows):
    ids = tf.constant([ids], tf.int32, shape=(1, len(ids)))
    return tf.RaggedTensor.from_tensor(tf.tile(ids, [rows.nrows(), 1]))


def export_writer(
    folder: str | Path,
    task,
    face: WriterFace,
    graph: WriterGraph | None = None,
    check: Callable[[Path], object] | None = None,
):
    """Write the SavedModel; `folder` holds the old one, or the whole new one.

    Args:
        folder: where to; an earlier export there is replaced.
        task: has a `backbone`, a next-token `head` and a `tokenizer`, and gives logits.
        face: what it takes and gives.
        graph: without one there are no strings to serve, and `serving_default` takes
            token ids.
        check: called with the new folder before it takes its place.
    """
    tokens = tokens_function(task, face.limits, lambda logits: {"logits": logits})
    signatures = {"tokens": tokens, "serving_default": tokens}
    if graph:
        signatures |= _text_signatures(task, face, graph)
    save(folder, task, signatures, graph, check=check)


def _text_signatures(task, face, graph):
    text = tf.TensorSpec([None], tf.string, name="text")
    scalars = [tf.TensorSpec([], kind, name=name) for name, kind in SETTINGS.items()]
    usual = (face.max_new_tokens, 0.0, 0, 1.0, 0)
    pairs = zip(usual, SETTINGS.values(), strict=True)
    usual = [tf.constant(number, kind) for number, kind in pairs]
    decoding = ServedDecoding(
        CachedDecoder(task.backbone, task.head),
        Sampling(),
        face.end_ids,
        task.tokenizer.pad_id,
    )

    def generate(text, *settings):
        told = dict(zip(SETTINGS, settings, strict=True))
        return {"text": _written(decoding, face, graph, text, told)}

    return {
        "serving_default": tf.function(lambda text: generate(text, *usual), [text]),
        "generate": tf.function(generate, [text, *scalars]),
        "score": tf.function(lambda text: _scores(task, face, graph, text), [text]),
    }


def _written(decoding, face, graph, text, told):
    """What follows prompts, strings (batch,)."""
    ids = _framed(face.opening, graph.ids(text))
    count = told.pop("max_new_tokens")
    checks = _room(ids, count, face) + _bounds(told)
    with tf.control_dependencies(checks):
        # Padded on the left.
        prompts = ids[:, ::-1].to_tensor(decoding.pad_id)[:, ::-1]
        mask = tf.ones_like(ids)[:, ::-1].to_tensor(0)[:, ::-1]
    rows, width = tf.unstack(tf.shape(prompts))
    numbers, seed = tf.range(rows), told.pop("seed")
    state = decoding.begin(prompts, mask, numbers, seed, width + count, **told)
    state = decoding.advance(state, count - 1)
    made = state["tokens"][:, width:]
    is_end = tf.zeros_like(made)
    for end in face.end_ids:
        is_end += tf.cast(made == end, tf.int32)
    before_end = tf.cumsum(is_end, axis=1) == 0
    there = tf.range(count) < state["next"] - width
    return graph.following(ids, tf.ragged.boolean_mask(made, before_end & there))


def _room(ids, count, face):
    lengths = tf.cast(ids.row_lengths(), tf.int32)
    return [
        tf.debugging.assert_positive(count, "max_new_tokens must be at least 1."),
        tf.debugging.assert_positive(lengths, "A prompt has no token."),
        tf.debugging.assert_less_equal(
            lengths + count,
            face.positions,
            f"A prompt and its new tokens are more than the {face.positions} positions "
            "of the model.",
        ),
    ]


def _bounds(told):
    """The bounds of `Sampling`, in the graph."""
    top_p = told["top_p"]
    return [
        tf.debugging.assert_non_negative(
            told["temperature"], "temperature is below 0."
        ),
        tf.debugging.assert_non_negative(told["top_k"], "top_k is below 0."),
        tf.debugging.assert_positive(top_p, "top_p must be above 0."),
        tf.debugging.assert_less_equal(top_p, 1.0, "top_p must be at most 1."),
    ]


def _scores(task, face, graph, text):
    own = graph.ids(text)
    ids = _framed(face.opening, own, face.closing)
    lengths = tf.cast(ids.row_lengths(), tf.int32)
    fits = tf.debugging.assert_less_equal(
        lengths,
        face.limits.max_length,
        f"A text has more than the {face.limits.max_length} tokens the model takes.",
    )
    with tf.control_dependencies([fits]):
        dense = ids.to_tensor(0)
    mask = tf.sequence_mask(lengths, tf.shape(dense)[1], tf.int32)
    logits = logits_of(task, {"input_ids": dense, "attention_mask": mask})
    losses = tf.nn.sparse_softmax_cross_entropy_with_logits(
        dense[:, 1:], logits[:, :-1]
    )
    # A text of no token has no opening and no end.
    some = own.row_lengths() > 0
    counted = tf.cast(mask[:, 1:], tf.float32) * tf.cast(some, tf.float32)[:, None]
    return {
        "log_likelihood": -tf.reduce_sum(losses * counted, axis=1),
        "tokens": tf.where(some, lengths - 1, 0),
    }
