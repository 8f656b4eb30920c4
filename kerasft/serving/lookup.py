"""Tables that a graph looks things up in: of whole numbers, or of strings."""

from collections.abc import Callable, Sequence

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


def known_or_made(table: tf.lookup.StaticHashTable, words, make: Callable):
    """Token ids of words: those that are one token are looked up, the others made.

    Args:
        table: word -> token id, -1 for none.
        words: (words,) strings.
        make: strings (words,) -> ragged int32 (words, tokens).

    Returns:
        Ragged int32 (words, tokens).
    """
    ids = tf.cast(table.lookup(words), tf.int32)
    is_token = ids >= 0
    others = make(tf.boolean_mask(words, ~is_token))
    tokens = tf.RaggedTensor.from_tensor(tf.boolean_mask(ids, is_token)[:, None])
    order = tf.concat([tf.where(is_token), tf.where(~is_token)], 0)[:, 0]
    back = tf.math.invert_permutation(tf.cast(order, tf.int32))
    return tf.gather(tf.concat([tokens, others], 0), back)
