"""Functions of tensors as TensorFlow graphs, one for inputs of all lengths."""

from functools import partial

import tensorflow as tf


def graph(function):
    """The function, traced once for each kind of inputs.

    As a `partial` it is one of its own: TensorFlow warns of many traces by counting
    those of all functions that share a line of code.
    """
    return tf.function(partial(function), reduce_retracing=True)
