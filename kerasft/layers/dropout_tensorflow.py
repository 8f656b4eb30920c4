"""Dropout from few random numbers, on TensorFlow."""

import tensorflow as tf
from keras import ops

STEPS = 2**16
PHILOX = 1  # Its number among TensorFlow's random generators.


def drop(inputs, rate, seed):
    """Zero a share of `inputs` and scale up the rest, so that the mean stays.

    Args:
        inputs: any shape.
        rate: share to drop, 0 to 1, rounded to 1 / 65,536.
        seed: (2,) integers; the same seed gives the same mask.
    """
    return without(inputs, kept_places(ops.shape(inputs), rate, seed), rate)


def kept_places(shape, rate, seed):
    """Which places stay, bool.

    Args:
        shape: of the places, integers and tensors.
        rate, seed: as of `drop`.
    """
    even = any(isinstance(n, int) and n % 2 == 0 for n in shape)
    shape = tf.convert_to_tensor(shape, tf.int32)
    size = tf.reduce_prod(shape)
    # As `tf.random.stateless_uniform(alg="philox")`, in 6 operations and not in 48.
    key, counter = tf.raw_ops.StatelessRandomGetKeyCounter(
        seed=_of_replica(tf.cast(seed, tf.int32))
    )
    bits = tf.raw_ops.StatelessRandomUniformFullIntV2(
        shape=tf.reshape(size // 2 if even else (size + 1) // 2, [1]),
        key=key,
        counter=counter,
        alg=PHILOX,
        dtype=tf.uint32,
    )
    numbers = tf.bitcast(bits, tf.uint16)
    if not even:
        numbers = tf.reshape(numbers, [-1])[:size]
    return tf.reshape(numbers, shape) >= tf.constant(_steps(rate), tf.uint16)


def without(inputs, kept, rate):
    """Zero what is not kept, and scale up the rest."""
    scale = tf.constant(STEPS / (STEPS - _steps(rate)), inputs.dtype)
    # Not a product with a mask of floats: backwards this one needs `kept` alone, which
    # has a byte a place.
    return tf.where(kept, inputs * scale, tf.zeros((), inputs.dtype))


def _steps(rate):
    return round(rate * STEPS)


def _of_replica(seed):
    """Another seed on each replica; else all would drop the same places."""
    context = tf.distribute.get_replica_context()
    if context is None or context.num_replicas_in_sync == 1:
        return seed
    number = tf.cast(context.replica_id_in_sync_group, tf.int32)
    return seed + tf.stack([0, number * 1_000_003])
