"""How the weights of a new layer are drawn.

Keras seeds a random initializer once, when it is made, so one object given to two
layers of the same shape makes them equal. Hence a function that makes a new one at
each draw; `keras.utils.set_random_seed` governs it.
"""

import keras


def normal(stddev):
    """Give an initializer: N(0, stddev), different at each draw."""

    def draw(shape, dtype=None):
        return keras.initializers.RandomNormal(stddev=stddev)(shape, dtype)

    return draw
