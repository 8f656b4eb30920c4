"""Functions of tensors as TensorFlow graphs, one for inputs of all lengths."""

import tensorflow as tf


def graph(function):
    """The function, traced once for each kind of inputs."""
    return tf.function(function, reduce_retracing=True)


def on_cpu() -> bool:
    """Whether there is no GPU to compute on."""
    return not tf.config.get_visible_devices("GPU")
