"""Parts of texts without the white space at their ends, in TensorFlow ops.

As `kerasft.data.pieces.without_spaces` does it for training: byte-level tokenizers
count the space before a word as part of it. Word pieces never hold any.
"""

import tensorflow as tf

LAST_SPACE = 0x3000
IS_SPACE = [chr(point).isspace() for point in range(LAST_SPACE + 1)] + [False]


def bare_pieces(graph, texts, pieces):
    """The tokens of texts, each without the spaces at its ends.

    Args:
        graph: what has cut the texts.
        texts: (texts,) strings.
        pieces: their `TextPieces`.
    """
    if not graph.keeps_spaces:
        return pieces
    row = pieces.ids.value_rowids()
    starts, ends = bare(texts, row, pieces.starts.flat_values, pieces.ends.flat_values)
    return pieces._replace(
        starts=pieces.ids.with_values(starts), ends=pieces.ids.with_values(ends)
    )


def bare(texts, row, starts, ends):
    """Parts without the spaces at their ends; one of nothing else begins at its end.

    Args:
        texts: (texts,) strings.
        row: integers (parts,), the text of each part.
        starts: int32 (parts,), its first character.
        ends: int32 (parts,), the one after its last.

    Returns:
        Starts and ends.
    """
    with tf.device("CPU"):
        points = tf.strings.unicode_decode(texts, "UTF-8")
        places = tf.minimum(points.flat_values, LAST_SPACE + 1)
        letters = tf.where(~tf.gather(IS_SPACE, places))[:, 0]
        shift = tf.cast(tf.gather(points.row_starts(), row), tf.int32)
        begin, stop = tf.cast(shift + starts, tf.int64), tf.cast(shift + ends, tf.int64)
        beyond = tf.size(places, tf.int64)
        after = tf.concat([letters, [beyond]], 0)
        first = tf.gather(after, tf.searchsorted(letters, begin))
        blank = first >= stop
        before = tf.concat([[-1], letters], 0)
        last = tf.gather(before, tf.searchsorted(letters, stop)) + 1
        starts = tf.where(blank, ends, tf.cast(first, tf.int32) - shift)
        return starts, tf.where(blank, ends, tf.cast(last, tf.int32) - shift)
