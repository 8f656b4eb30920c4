"""Cut texts into words by a pre-tokeniser's expression, in a TensorFlow graph.

In go code points, out come the words, each as the code points it is made of.

Source: `split_regex.py`, which puts the expression into letters for RE2.
"""

import numpy as np
import tensorflow as tf
import tensorflow_text as tf_text

from kerasft.serving.reference import raise_if_unsupported
from kerasft.serving.split_regex import read_regex

LETTERS = 0x80


class SplitGraph(tf.Module):
    """An expression as a function of texts.

    Args:
        expression: as in tokenizer.json; what it does not match are words as well.

    Raises:
        UnsupportedTokenizerError: it cannot be done exactly.
    """

    def __init__(self, expression: str):
        super().__init__(name="split_graph")
        kinds = read_regex(expression)
        if tf.strings.regex_full_match("", kinds.pattern):
            raise_if_unsupported([f"the expression {expression!r} finds empty words"])
        self._pattern = kinds.pattern
        self._letter_of_point = tf.constant(kinds.of_point)
        is_space = np.zeros(LETTERS, bool)
        is_space[list(kinds.spaces)] = True
        self._is_space = tf.constant(is_space)

    def __call__(self, points):
        """Begins of words.

        Args:
            points: ragged int32 (texts, code points).

        Returns:
            Ragged int64 (texts, words), where in its text each word begins. Each text
            is made of its words, with nothing between them.
        """
        letters = tf.cast(
            tf.gather(self._letter_of_point, points.flat_values), tf.int32
        )
        rows = points.value_rowids()
        space = tf.gather(self._is_space, letters)
        before_other = space[:-1] & ~space[1:] & (rows[:-1] == rows[1:])
        before_other = tf.concat([before_other, [False]], 0)[: tf.size(letters)]
        letters += tf.cast(before_other, tf.int32)
        written = tf.strings.unicode_encode(points.with_values(letters), "UTF-8")
        _, begins, _ = tf_text.regex_split_with_offsets(written, self._pattern, ".+")
        return begins
