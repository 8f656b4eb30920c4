"""Write a triple extractor as a SavedModel: strings in, triples out.

- `serving_default(text)`: all triples of all texts, one after the other: `row` (which
  text, from 0), `subject`, `subject_start`, `subject_end`, `relation`, `object`,
  `object_start`, `object_end` (characters) and `score`;
- `tokens(input_ids, attention_mask, token_type_ids)`: `logits`;
- `assets/labels.txt`: the relations, in the order of the logits.

The same as `kerasft.tasks.triple_decoding` finds, window by window.
"""

from collections.abc import Callable, Sequence
from pathlib import Path

import tensorflow as tf

from kerasft.layers.packing import packed_tokens
from kerasft.serving.bare_spans import bare_pieces
from kerasft.serving.saving import (
    Limits,
    logits_of,
    one_line_each,
    save,
    tokens_function,
)
from kerasft.serving.tag_signatures import cut_out
from kerasft.serving.windowed import text_windows


def export_triples(
    folder: str | Path,
    model,
    labels: Sequence[str],
    limits: Limits,
    most: int,
    overlap: int | None = None,
    graph=None,
    check: Callable[[Path], object] | None = None,
):
    """Write the SavedModel; `folder` holds the old one, or the whole new one.

    Args:
        folder: where to; an earlier export there is replaced.
        model: a `keras.Model`, dict of int32 (batch, length) to logits.
        labels: names of the relations, in the order of the logits.
        limits: of token ids.
        most: subjects, and objects, of a window at most.
        overlap: tokens that windows share; None: a quarter of a window.
        graph: an `OffsetGraph`. Without one `serving_default` takes token ids.
        check: called with the new folder before it takes its place.
    """
    one_line_each(labels)
    tokens = tokens_function(model, limits, lambda logits: {"logits": logits})
    signatures = {"tokens": tokens, "serving_default": tokens}

    def serve(text):
        pieces = bare_pieces(graph, text, graph.pieces(text))
        windows = text_windows(graph, pieces, overlap)
        with packed_tokens():
            logits = logits_of(model, windows.inputs)
        found = _triples(logits, windows.tokens >= 0, most)
        return _told(text, *_once(pieces, windows, found), labels)

    if graph:
        spec = tf.TensorSpec([None], tf.string, name="text")
        signatures["serving_default"] = tf.function(serve, [spec])
    save(folder, model, signatures, graph, labels, check)


def _triples(logits, scored, most):
    """Triples of all windows, the first window's first.

    Returns:
        int32 (triples, 6): window, first and last token of the subject, the same of the
        object, relation; and the least of the four logits of each.
    """
    relations = (logits.shape[1] - 2) // 2
    allowed = scored[:, :, tf.newaxis] & scored[:, tf.newaxis]
    sides = [_mentions(tf.where(allowed, logits[:, i], 0.0), most) for i in range(2)]
    (begin, end, subject), (first, last, thing) = sides
    starts, ends = logits[:, 2 : 2 + relations], logits[:, 2 + relations :]
    links = tf.minimum(_pairs(starts, begin, first), _pairs(ends, end, last))
    links = tf.minimum(links, subject[:, tf.newaxis, :, tf.newaxis])
    links = tf.minimum(links, thing[:, tf.newaxis, tf.newaxis])
    links = tf.transpose(links, [0, 2, 3, 1])
    places = tf.cast(tf.where(links > 0), tf.int32)
    window, s, o, relation = tf.unstack(places, axis=1)
    tokens = [
        tf.gather_nd(side, tf.stack([window, which], axis=1))
        for side, which in ((begin, s), (end, s), (first, o), (last, o))
    ]
    found = tf.stack([window, *tokens, relation], axis=1)
    return found, tf.gather_nd(links, places)


def _mentions(logits, most):
    """First token, last token and logit of the likeliest mentions, (windows, most).

    In text order; where there are fewer, the logit is 0.
    """
    length = tf.shape(logits)[1]
    flat = tf.nn.relu(tf.reshape(logits, [-1, length * length]))
    _, places = tf.math.top_k(flat, tf.minimum(most, length * length))
    places = tf.sort(places, axis=1)
    return (
        places // length,
        places % length,
        tf.gather(flat, places, batch_dims=1),
    )


def _pairs(maps, rows, columns):
    """Logits (windows, relations, rows, columns) of (windows, relations, L, L)."""
    chosen = tf.gather(maps, rows, axis=2, batch_dims=1)
    return tf.gather(chosen, columns, axis=3, batch_dims=1)


def _once(pieces, windows, found):
    """Triples of texts, each once: (triples, 6), and the highest score of each.

    Columns: text, characters of subject and object (start, end, start, end), relation.
    """
    triples, weakest = found
    window, begin, end, first, last, relation = tf.unstack(triples, axis=1)
    text = tf.gather(windows.text, window)
    row_starts = tf.cast(tf.gather(pieces.ids.row_starts(), text), tf.int32)

    def characters(side, token):
        number = tf.gather_nd(windows.tokens, tf.stack([window, token], axis=1))
        return tf.gather(side.flat_values, row_starts + number)

    places = [
        characters(side, token)
        for side, token in (
            (pieces.starts, begin),
            (pieces.ends, end),
            (pieces.starts, first),
            (pieces.ends, last),
        )
    ]
    columns = tf.stack([text, *places, relation], axis=1)
    keys = tf.strings.reduce_join(tf.strings.as_string(columns), 1, separator=" ")
    different, number = tf.unique(keys)
    count = tf.size(different)
    at = tf.math.unsorted_segment_min(tf.range(tf.size(keys)), number, count)
    best = tf.math.unsorted_segment_max(tf.sigmoid(weakest), number, count)
    return tf.gather(columns, at), best


def _told(text, columns, score, labels):
    row, start, end, first, last, relation = tf.unstack(columns, axis=1)
    answers = {"row": row, "relation": tf.gather(list(labels), relation)}
    for name, a, b in (("subject", start, end), ("object", first, last)):
        answers[name] = cut_out(text, row, a, b)
        answers[f"{name}_start"], answers[f"{name}_end"] = a, b
    return answers | {"score": score}
