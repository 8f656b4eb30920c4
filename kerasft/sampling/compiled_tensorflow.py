"""Functions of tensors as TensorFlow graphs, one for inputs of all lengths."""

import tensorflow as tf


def graph(function):
    """The function, traced once for each kind of inputs."""
    return tf.function(function, reduce_retracing=True)
