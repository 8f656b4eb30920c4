"""Write a question answerer as a SavedModel: strings in, answers out.

- `serving_default(question, context)`: `answer`, `start` and `end` (characters of the
  context), `score`, each (questions,); no answer is "" from 0 to 0;
- `tokens(input_ids, attention_mask, token_type_ids)`: `logits`, (batch, length, 2).

Contexts longer than the model takes are cut into windows, and all spans of all windows
compete, as `QuestionAnswerer.predict_text` has it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import tensorflow as tf

from kerasft.layers.packing import packed_tokens
from kerasft.serving.bare_spans import bare_pieces
from kerasft.serving.saving import Limits, logits_of, save, tokens_function
from kerasft.serving.windowed import pair_windows

N_BEST = 20
NEVER = -1e30  # Of a span that cannot be.
MANY = 2**24  # More characters than a context has: a span is one number.


@dataclass(frozen=True)
class AnswererFace:
    """What a served question answerer takes.

    Args:
        limits: of token ids.
        max_answer_length: the most tokens of an answer.
        threshold: by how much "no answer" must outscore an answer; None: it is given
            only where there is nothing else.
        overlap: tokens that windows share; None: a quarter of what one holds.
    """

    limits: Limits
    max_answer_length: int
    threshold: float | None = None
    overlap: int | None = None


def export_answerer(
    folder: str | Path,
    model,
    face: AnswererFace,
    graph=None,
    check: Callable[[Path], object] | None = None,
):
    """Write the SavedModel; `folder` holds the old one, or the whole new one.

    Args:
        folder: where to; an earlier export there is replaced.
        model: a `keras.Model`, dict of int32 (batch, length) to logits.
        face: what it takes.
        graph: an `OffsetGraph`. Without one `serving_default` takes token ids.
        check: called with the new folder before it takes its place.
    """
    tokens = tokens_function(model, face.limits, lambda logits: {"logits": logits})
    signatures = {"tokens": tokens, "serving_default": tokens}
    if graph:
        signatures["serving_default"] = tf.function(
            lambda question, context: _answers(model, face, graph, question, context),
            [tf.TensorSpec([None], tf.string, name=n) for n in ("question", "context")],
        )
    save(folder, model, signatures, graph, check=check)


def _answers(model, face, graph, question, context):
    pieces = bare_pieces(graph, context, graph.pieces(context))
    windows = pair_windows(graph, graph.pieces(question), pieces, face.overlap)
    with packed_tokens():
        logits = logits_of(model, windows.inputs)
    none = tf.math.segment_min(tf.reduce_sum(logits[:, 0], -1), windows.text)
    text, start, end, score = _all_spans(face, windows, pieces, logits)
    spans, scores = _best_of_texts(text, start, end, score, tf.size(context))
    chances = tf.nn.softmax(tf.concat([scores, none[:, tf.newaxis]], 1))
    nothing = scores[:, 0] == NEVER
    if face.threshold is not None:
        nothing |= none - scores[:, 0] > face.threshold
    begin, stop = (tf.where(nothing, 0, side[:, 0]) for side in spans)
    return {
        "answer": _cut_out(context, begin, stop),
        "start": begin,
        "end": stop,
        "score": tf.where(nothing, chances[:, -1], chances[:, 0]),
    }


def _all_spans(face, windows, pieces, logits):
    """Text, characters and score of the best spans of each window, flat."""
    begins = tf.cast(tf.gather(pieces.ids.row_starts(), windows.text), tf.int32)
    known = windows.tokens >= 0
    flat = tf.where(known, begins[:, tf.newaxis] + windows.tokens, 0)
    starts, ends = (
        tf.gather(tf.concat([side.flat_values, [0]], 0), flat)
        for side in (pieces.starts, pieces.ends)
    )
    known &= starts < ends  # Tokens without a character begin and end no answer.
    logits = tf.where(known[..., tf.newaxis], logits, NEVER)
    length, width = tf.shape(flat)[1], face.max_answer_length
    lasts = tf.range(length)[:, tf.newaxis] + tf.range(width)
    padded = tf.pad(logits[..., 1], [[0, 0], [0, width]], constant_values=NEVER)
    sums = logits[..., 0, tf.newaxis] + tf.gather(padded, lasts, axis=1)
    sums = tf.reshape(sums, [tf.shape(sums)[0], -1])
    best, places = tf.math.top_k(sums, tf.minimum(N_BEST, tf.shape(sums)[1]))
    first, last = places // width, places // width + places % width
    start = tf.gather(starts, first, batch_dims=1)
    end = tf.gather(ends, tf.minimum(last, length - 1), batch_dims=1)
    text = tf.broadcast_to(windows.text[:, tf.newaxis], tf.shape(best))
    can_be = best > NEVER / 2
    return [tf.boolean_mask(x, can_be) for x in (text, start, end, best)]


def _best_of_texts(text, start, end, score, count):
    """The best spans of each text: ((starts, ends), scores), each (texts, 20).

    A span that two windows have counts once; of equals the earlier goes first.
    """
    text, start, end = (tf.cast(x, tf.int64) for x in (text, start, end))
    number = (text * MANY + start) * MANY + end
    order = tf.argsort(number)
    number, group = tf.unique(tf.gather(number, order))
    score = tf.math.segment_max(tf.gather(score, order), group)
    rows = number // MANY**2
    ragged = tf.RaggedTensor.from_value_rowids(
        tf.range(tf.size(number)), rows, tf.cast(count, tf.int64)
    )
    places = ragged.to_tensor(-1)
    places = tf.pad(places, [[0, 0], [0, N_BEST]], constant_values=-1)
    # The last is for places that no span has.
    score = tf.concat([score, [NEVER]], 0)
    number = tf.concat([number, [0]], 0)
    places = tf.where(places < 0, tf.size(score) - 1, places)
    scores, best = tf.math.top_k(tf.gather(score, places), N_BEST)
    chosen = tf.gather(number, tf.gather(places, best, batch_dims=1))
    starts, ends = chosen // MANY % MANY, chosen % MANY
    return (tf.cast(starts, tf.int32), tf.cast(ends, tf.int32)), scores


def _cut_out(text, start, end):
    """Characters `start` to `end` of each text."""
    with tf.device("CPU"):
        points = tf.strings.unicode_decode(text, "UTF-8")
        begins = tf.cast(points.row_starts(), tf.int32)
        places = tf.ragged.range(begins + start, begins + end)
        inner = places.with_values(tf.gather(points.flat_values, places.flat_values))
        return tf.strings.unicode_encode(inner, "UTF-8")
