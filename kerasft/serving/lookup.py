"""Tables that a graph looks things up in: of whole numbers, or of strings."""

from collections.abc import Sequence

import tensorflow as tf

NOBODY = {tf.int64: -2, tf.string: b""}


def lookup(
    keys: Sequence, numbers: Sequence[int], default: int, dtype=tf.int64
) -> tf.lookup.StaticHashTable:
    """A table of int64 numbers.

    Args:
        keys: numbers from 0, or strings that are not empty.
        numbers: one for each key.
        default: the number of what is not there.
        dtype: of the keys, `tf.int64` or `tf.string`.
    """
    # TensorFlow refuses an empty table: each has a key that nobody asks for.
    keys = tf.constant([NOBODY[dtype], *keys], dtype)
    numbers = tf.constant([default, *numbers], tf.int64)
    return tf.lookup.StaticHashTable(
        tf.lookup.KeyValueTensorInitializer(keys, numbers), default
    )
