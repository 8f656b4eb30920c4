"""How the weights of a new layer are drawn.

Keras seeds a random initializer once, when it is made, so one object given to two
layers of the same shape makes them equal. Hence a function that makes a new one at
each draw; `keras.utils.set_random_seed` governs it.
"""

import math

import keras


def normal(stddev):
    """Give an initializer: N(0, stddev), different at each draw."""

    def draw(shape, dtype=None):
        return keras.initializers.RandomNormal(stddev=stddev)(shape, dtype)

    return draw


def cut_normal(stddev, cutoff):
    """Give an initializer: N(0, stddev), cut off at `cutoff` of it, new at each draw.

    (Keras' `TruncatedNormal` knows a cutoff of 2 alone.)
    """

    def draw(shape, dtype=None):
        seed = keras.random.SeedGenerator()
        reach = math.erf(cutoff / math.sqrt(2.0))  # Share of N(0, 1) within.
        even = keras.random.uniform(shape, -reach, reach, seed=seed)
        numbers = keras.ops.erfinv(even) * (stddev * math.sqrt(2.0))
        return keras.ops.cast(numbers, dtype or keras.config.floatx())

    return draw
