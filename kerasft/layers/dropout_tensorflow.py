"""Dropout from few random numbers; the only file of `layers` that knows TensorFlow."""

import tensorflow as tf

STEPS = 2**16


def drop(inputs, rate, seed):
    """Zero a share of `inputs` and scale up the rest, so that the mean stays.

    Args:
        inputs: any shape.
        rate: share to drop, 0 to 1, rounded to 1 / 65,536.
        seed: (2,) integers; the same seed gives the same mask.
    """
    size = tf.size(inputs)
    bits = tf.random.stateless_uniform(
        [(size + 1) // 2],
        tf.cast(seed, tf.int32),
        minval=None,
        maxval=None,
        dtype=tf.uint32,
        alg="philox",
    )
    numbers = tf.reshape(tf.bitcast(bits, tf.uint16), [-1])[:size]
    dropped = round(rate * STEPS)
    kept = tf.reshape(numbers, tf.shape(inputs)) >= tf.constant(dropped, tf.uint16)
    scale = tf.constant(STEPS / (STEPS - dropped), inputs.dtype)
    # Not a product with a mask of floats: backwards this one needs `kept` alone, which
    # has a byte a place.
    return tf.where(kept, inputs * scale, tf.zeros((), inputs.dtype))
