"""Write a relation extractor as a SavedModel: strings and places in, relations out.

- `serving_default(text, head, tail)`: `label`, `score`, `probabilities`. `head` and
  `tail` are int32 (batch, 2), start and end of each mention in characters, without the
  last;
- `assets/labels.txt`: the relations, in the order of `probabilities`.

Marks and cut are those of `kerasft.data.relating`.
"""

from collections.abc import Callable, Sequence
from pathlib import Path

import tensorflow as tf

from kerasft.data.relating import HEAD, TAIL
from kerasft.layers.packing import packed_tokens
from kerasft.serving.packing import pack
from kerasft.serving.saving import logits_of, one_line_each, save

MARKS = "@  @#  #"  # before and after the head, before and after the tail: two each
FAR = 2**30
BEGINS = [1, 0, 1, 0]
MANY = 2**24  # More characters than a text has: a rank is one number.


def export_relations(
    folder: str | Path,
    model,
    labels: Sequence[str],
    pooling: str,
    graph,
    check: Callable[[Path], object] | None = None,
):
    """Write the SavedModel; `folder` holds the old one, or the whole new one.

    Args:
        folder: where to; an earlier export there is replaced.
        model: a `keras.Model`, dict of int32 (batch, length) to logits.
        labels: names of the relations, in the order of the logits.
        pooling: "marks" or "mentions".
        graph: an `OffsetGraph`.
        check: called with the new folder before it takes its place.
    """
    one_line_each(labels)

    def serve(text, head, tail):
        inputs = marked_inputs(graph, text, head, tail, pooling)
        with packed_tokens():
            probabilities = tf.nn.softmax(logits_of(model, inputs))
        best = tf.argmax(probabilities, axis=-1)
        return {
            "label": tf.gather(list(labels), best),
            "score": tf.reduce_max(probabilities, axis=-1),
            "probabilities": probabilities,
        }

    places = [tf.TensorSpec([None, 2], tf.int32, name=n) for n in ("head", "tail")]
    signature = tf.function(
        serve, [tf.TensorSpec([None], tf.string, name="text"), *places]
    )
    save(folder, model, {"serving_default": signature}, graph, labels, check)


def marked_inputs(graph, text, head, tail, pooling) -> dict:
    """Model inputs, `mention_ids` among them, int32 (batch, longest).

    Args:
        graph: an `OffsetGraph`.
        text: (batch,) strings.
        head, tail: int32 (batch, 2), characters.
        pooling: "marks" or "mentions".

    Raises:
        tf.errors.InvalidArgumentError: a mention is empty, or outside of its text.
    """
    template = graph.reference.single
    room = graph.max_length - sum(len(piece.ids) for piece in template)
    with tf.device("CPU"):
        strings, marks = _marked(text, tf.concat([head, tail], axis=1))
        pieces = graph.pieces(strings)
        distances, mentions = _around(pieces.ends, marks, pooling)
        chosen = _nearest(distances, tf.minimum(pieces.ids.row_lengths(), room), room)
        first = tf.cast(pieces.ids.row_starts(), tf.int32)
        first = tf.repeat(first, tf.cast(chosen.row_lengths(), tf.int32))
        ids = tf.gather(pieces.ids.flat_values, first + chosen.flat_values)
        row = tf.cast(chosen.value_rowids(), tf.int32)
        flags = tf.gather_nd(mentions, tf.stack([row, chosen.flat_values], axis=1))
        inputs = pack(
            template,
            {"A": chosen.with_values(ids)},
            graph.max_length,
            graph.reference.pad_id,
            graph.reference.pad_type_id,
        )
        before = _tokens_before(template)
        flags = chosen.with_values(flags).to_tensor()
        after = tf.shape(inputs["input_ids"])[1] - before - tf.shape(flags)[1]
        return inputs | {"mention_ids": tf.pad(flags, [[0, 0], [before, after]])}


def _tokens_before(template):
    """Special tokens before the text."""
    count = 0
    for piece in template:
        if piece.sequence:
            break
        count += len(piece.ids)
    return count


def _marked(text, places):
    """Texts with both mentions marked, and the characters of the marks, (batch, 4).

    Args:
        text: (batch,) strings.
        places: int32 (batch, 4): start and end of the head, start and end of the tail.
    """
    points = tf.strings.unicode_decode(text, "UTF-8")
    lengths = tf.cast(points.row_lengths(), tf.int32)
    ordered = (places[:, 0] < places[:, 1]) & (places[:, 2] < places[:, 3])
    inside = (places >= 0) & (places <= lengths[:, tf.newaxis])
    fits = tf.debugging.Assert(
        tf.reduce_all(ordered) & tf.reduce_all(inside),
        ["head and tail must be start and end within their texts, but are", places],
    )
    with tf.control_dependencies([fits]):
        order = tf.argsort(_rank(places), axis=1)
    place = tf.gather(places, order, batch_dims=1)
    # Nine parts a text: some of it, a mark, some of it, ..., the rest.
    row_start = tf.cast(points.row_starts(), tf.int32)[:, tf.newaxis]
    bounds = tf.concat([tf.zeros_like(row_start), place, lengths[:, tf.newaxis]], 1)
    total = tf.size(points.flat_values)
    starts = _interleaved(row_start + bounds[:, :-1], total + 2 * order)
    stops = _interleaved(row_start + bounds[:, 1:], total + 2 * order + 2)
    parts = tf.ragged.range(tf.reshape(starts, [-1]), tf.reshape(stops, [-1]))
    with_marks = tf.concat([points.flat_values, list(map(ord, MARKS))], 0)
    marked = tf.RaggedTensor.from_row_lengths(
        tf.gather(with_marks, parts.flat_values),
        tf.reduce_sum(stops - starts, axis=1),
    )
    at = place + 2 * tf.range(1, 5) - 1 - tf.gather(BEGINS, order)
    at = tf.gather(at, tf.argsort(order, axis=1), batch_dims=1)
    return tf.strings.unicode_encode(marked, "UTF-8"), at


def _rank(places):
    """Numbers that order four marks as `kerasft.data.relation_rows.marked` does."""
    places = tf.cast(places, tf.int64)
    other = tf.gather(places, [1, 0, 3, 2], axis=1)
    rank = (2 * places + BEGINS) * MANY + (MANY - 1 - other)
    return 2 * rank + [0, 1, 1, 0]


def _interleaved(five, four):
    """Columns of two tensors in turn: (batch, 5) and (batch, 4) to (batch, 9)."""
    pairs = tf.stack([five[:, :-1], four], axis=2)
    return tf.concat([tf.reshape(pairs, [-1, 8]), five[:, -1:]], axis=1)


def _around(ends, marks, pooling):
    """Of each token how far it is from what must stay, and its mention id.

    Two int32 (batch, longest); tokens that are not there are far away.
    """
    columns = ends.to_tensor(-1)
    places = tf.range(tf.shape(columns)[1])[tf.newaxis]
    columns = tf.pad(columns, [[0, 0], [0, 1]])  # An empty batch has none.
    after = columns[:, tf.newaxis] > marks[..., tf.newaxis]
    tokens = tf.argmax(tf.cast(after, tf.int32), axis=2, output_type=tf.int32)
    first, last, other, end = tf.split(tokens, 4, axis=1)
    distances = tf.minimum(_beside(places, first, last), _beside(places, other, end))
    distances = tf.where((places == first) | (places == other), -1, distances)
    there = tf.sequence_mask(ends.row_lengths(), tf.size(places))
    if pooling == "marks":
        last, end = first, other
    mentions = HEAD * _within(places, first, last) + TAIL * _within(places, other, end)
    return tf.where(there, distances, FAR), mentions


def _beside(places, first, last):
    return tf.maximum(0, tf.maximum(first - places, places - last))


def _within(places, first, last):
    return tf.cast((first <= places) & (places <= last), tf.int32)


def _nearest(distances, counts, room):
    """Numbers of the nearest tokens, in order: ragged (batch, at most `room`)."""
    order = tf.argsort(distances, axis=1, stable=True)[:, :room]
    kept = tf.sequence_mask(counts, tf.shape(order)[1])
    order = tf.sort(tf.where(kept, order, FAR), axis=1)
    return tf.RaggedTensor.from_tensor(order, lengths=counts)
