"""Characters that others take the place of, in a graph: rows of a table of texts."""

from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from kerasft.serving.characters import CODE_POINTS

SAME = -1  # The row of what stays as it is.


class Rewriting(tf.Module):
    """Texts that characters can be replaced by.

    Args:
        texts: row -> text.
    """

    def __init__(self, texts: Sequence[str]):
        super().__init__(name="rewriting")
        rows = [[*map(ord, text)] for text in texts] or [[]]
        self._texts = tf.ragged.constant(rows, tf.int32, ragged_rank=1)

    def __call__(self, points, rows, dropped=None):
        """Replace characters.

        Args:
            points: code points, ragged int32 (texts, characters).
            rows: of each character, flat int32; `SAME` where it stays.
            dropped: whether it goes, flat bool; or None.

        Returns:
            Alike, ragged (texts, characters).
        """
        flat = points.flat_values
        lengths = tf.gather(self._texts.row_lengths(), tf.maximum(rows, 0))
        lengths = tf.where(rows == SAME, tf.ones_like(lengths), lengths)
        if dropped is not None:
            lengths = tf.where(dropped, tf.zeros_like(lengths), lengths)
        source, within = spread(lengths)
        row = tf.gather(rows, source)
        made = tf.gather(self._texts.row_starts(), tf.maximum(row, 0)) + within
        spelt = tf.concat([self._texts.flat_values, [0]], 0)
        made = tf.gather(spelt, tf.minimum(made, tf.size(spelt, tf.int64) - 1))
        made = tf.where(row == SAME, tf.gather(flat, source), made)
        owner = tf.gather(points.value_rowids(), source)
        return tf.RaggedTensor.from_value_rowids(
            made, owner, points.nrows(), validate=False
        )


def spread(lengths):
    """For so many places each: whose each place is, and which of its own.

    Args:
        lengths: whole numbers, flat; the answers are of their type.
    """
    source = tf.repeat(tf.range(tf.size(lengths, lengths.dtype)), lengths)
    within = tf.range(tf.size(source, lengths.dtype))
    return source, within - tf.gather(tf.cumsum(lengths, exclusive=True), source)


def utf8_sizes(points):
    """Bytes that each code point has in UTF-8, int32."""
    return 1 + sum(tf.cast(points >= n, tf.int32) for n in (0x80, 0x800, 0x10000))


class CharacterMap(tf.Module):
    """Replace each character by a text of its own.

    Args:
        answers: what each code point becomes.
    """

    def __init__(self, answers: Sequence[str]):
        super().__init__(name="character_map")
        changed = {
            i: text
            for i, text in enumerate(answers)
            if text is not None and text != chr(i)
        }
        texts = sorted(set(changed.values()))
        row_of = {text: row for row, text in enumerate(texts)}
        rows = np.full(CODE_POINTS, SAME, np.int32)
        rows[list(changed)] = [row_of[text] for text in changed.values()]
        self._rows = tf.constant(rows)
        self._rewriting = Rewriting(texts)

    def __call__(self, points):
        """The same code points, ragged int32 (texts, characters), with others."""
        return self._rewriting(points, tf.gather(self._rows, points.flat_values))
