"""Write a tagger as a SavedModel: strings in, entities out.

- `serving_default(text)`: all entities of all texts, one after the other: `row` (which
  text, from 0), `label`, `start` and `end` (characters), `text` and `score`. Where tags
  make no entities, every word is one.
- `tokens(input_ids, attention_mask, token_type_ids)`: `logits`.
- `assets/labels.txt`: the tags, in the order of the logits.

Texts longer than the model takes are cut into windows and put together again, as
`TokenClassifier.predict_text` does it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import tensorflow as tf

from kerasft.layers.crf import CRF
from kerasft.layers.packing import packed_tokens
from kerasft.objectives.span_metrics import entity_bounds
from kerasft.objectives.spans import TagSet
from kerasft.serving.bare_spans import bare
from kerasft.serving.saving import (
    Limits,
    logits_of,
    one_line_each,
    save,
    tokens_function,
)
from kerasft.serving.windowed import text_windows


@dataclass(frozen=True)
class TaggerFace:
    """What a served tagger shows and what it takes.

    Args:
        tag_set: its tags.
        finds_entities: whether tags make entities; else each word is told.
        limits: of token ids.
        crf: scores whole sequences, or None.
        overlap: tokens that windows share; None: a quarter of a window.
    """

    tag_set: TagSet
    finds_entities: bool
    limits: Limits
    crf: CRF | None = None
    overlap: int | None = None

    def __post_init__(self):
        one_line_each(self.tag_set.names)


def export_tagger(
    folder: str | Path,
    model,
    face: TaggerFace,
    graph=None,
    check: Callable[[Path], object] | None = None,
):
    """Write the SavedModel; `folder` holds the old one, or the whole new one.

    Args:
        folder: where to; an earlier export there is replaced.
        model: a `keras.Model`, dict of int32 (batch, length) to logits.
        face: what it takes and shows.
        graph: an `OffsetGraph`. Without one `serving_default` takes token ids.
        check: called with the new folder before it takes its place.
    """
    tokens = tokens_function(model, face.limits, lambda logits: {"logits": logits})
    signatures = {"tokens": tokens, "serving_default": tokens}
    if graph:
        signatures["serving_default"] = tf.function(
            lambda text: _entities(model, face, graph, text),
            [tf.TensorSpec([None], tf.string, name="text")],
        )
    save(folder, model, signatures, graph, face.tag_set.names, check)


def _entities(model, face, graph, text):
    """All entities of a batch of texts, flat."""
    pieces = graph.pieces(text)
    windows = text_windows(graph, pieces, face.overlap)
    with packed_tokens():
        logits = logits_of(model, windows.inputs)
    is_first, is_last = _word_edges(pieces.words)
    words, count = _logits_of_words(logits, windows, pieces, is_first)
    tags, chances = _best(face, words, tf.sequence_mask(count))
    row, begin, stop, label = _spans(face, tags, count)
    shift = tf.gather(tf.cumsum(count, exclusive=True), row)
    starts, ends = pieces.starts.flat_values[is_first], pieces.ends.flat_values[is_last]
    if graph.keeps_spaces:
        starts, ends = bare(text, pieces.ids.value_rowids()[is_first], starts, ends)
    start = tf.gather(starts, shift + begin)
    end = tf.gather(ends, shift + stop - 1)
    return {
        "row": row,
        "label": label,
        "start": start,
        "end": end,
        "text": cut_out(text, row, start, end),
        "score": _means(chances, row, begin, stop),
    }


def _word_edges(words):
    """Whether each token of all texts is the first of its word, or the last."""
    numbers, text = words.flat_values, words.value_rowids()
    changes = (numbers[1:] != numbers[:-1]) | (text[1:] != text[:-1])
    edge = tf.ones_like(numbers[:1], tf.bool)
    return tf.concat([edge, changes], 0), tf.concat([changes, edge], 0)


def _logits_of_words(logits, windows, pieces, is_first):
    """Logits (texts, words, tags) of first tokens, each from the window that answers.

    Also how many words each text has.
    """
    begins = tf.cast(tf.gather(pieces.ids.row_starts(), windows.text), tf.int32)
    flat = begins[:, tf.newaxis] + windows.tokens
    # An empty batch has no tokens; the flag added is never asked for.
    flags = tf.concat([is_first, [False]], 0)
    chosen = tf.gather(flags, tf.where(windows.answers, flat, tf.size(is_first)))
    places = tf.where(chosen)
    ragged = tf.RaggedTensor.from_value_rowids(
        tf.gather_nd(logits, places),
        tf.gather(tf.cast(windows.text, tf.int64), places[:, 0]),
        pieces.ids.nrows(),
    )
    width = logits.shape[-1]
    return ragged.to_tensor(shape=[None, None, width]), tf.cast(
        ragged.row_lengths(), tf.int32
    )


def _best(face, logits, mask):
    """The best tag of each word, and how likely it is: two (texts, words)."""
    if face.crf:
        # One step more, which does not count: there may be none at all.
        logits = tf.pad(logits, [[0, 0], [0, 1], [0, 0]])
        mask = tf.pad(mask, [[0, 0], [0, 1]])
        tags, _ = face.crf.decode(logits, mask)
        chances = tf.gather(
            face.crf.marginals(logits, mask), tf.maximum(tags, 0), batch_dims=2
        )
        return tags[:, :-1], chances[:, :-1]
    tags = tf.argmax(logits, axis=-1, output_type=tf.int32)
    return tags, tf.reduce_max(tf.nn.softmax(logits), axis=-1)


def _spans(face, tags, count):
    """Text, first word, word after the last, and label of each span."""
    mask = tf.sequence_mask(count, tf.shape(tags)[1])
    if not face.finds_entities:
        places = tf.cast(tf.where(mask), tf.int32)
        label = tf.gather(list(face.tag_set.names), tf.boolean_mask(tags, mask))
        return places[:, 0], places[:, 1], places[:, 1] + 1, label
    outside = len(face.tag_set.names)
    ended, begins, types = entity_bounds(face.tag_set, tf.where(mask, tags, outside))
    places = tf.cast(tf.where(ended), tf.int32)
    kinds = list(face.tag_set.types) or [""]
    label = tf.gather(kinds, tf.boolean_mask(types, ended))
    return places[:, 0], tf.boolean_mask(begins, ended), places[:, 1], label


def _means(chances, row, begin, stop):
    """The mean chance of the words of each span."""
    # In float64: sums over long texts would drown single words.
    sums = tf.cumsum(tf.cast(chances, tf.float64), axis=1)
    sums = tf.pad(sums, [[0, 0], [1, 0]])
    total = tf.gather_nd(sums, tf.stack([row, stop], 1))
    total -= tf.gather_nd(sums, tf.stack([row, begin], 1))
    return tf.cast(total / tf.cast(stop - begin, tf.float64), tf.float32)


def cut_out(text, row, start, end):
    """Characters `start` to `end` of the text that each span is of.

    Args:
        text: (batch,) strings.
        row: int32 (spans,), the number of its text.
        start, end: int32 (spans,).
    """
    with tf.device("CPU"):
        points = tf.strings.unicode_decode(text, "UTF-8")
        begins = tf.gather(tf.cast(points.row_starts(), tf.int32), row)
        places = tf.ragged.range(begins + start, begins + end)
        inner = places.with_values(tf.gather(points.flat_values, places.flat_values))
        return tf.strings.unicode_encode(inner, "UTF-8")
