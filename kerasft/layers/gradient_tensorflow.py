"""A formula with its own gradient, on TensorFlow.

`tf.custom_gradient` registers what is traced under a name of its own, for good, and
with it the graph and all weights that the graph reads: a model that nobody holds any
more would stay in memory. Here the tape alone learns of the gradient. The trap: what
differentiates a finished graph, as `tf.gradients` does, sees the formula's operations.
"""

import tensorflow as tf
from tensorflow.python.eager import record


def differentiated(formula, tensors):
    """The formula's value; active tapes get its gradient.

    Args:
        formula: (tensors) -> (value, gradient), the latter of what flows back.
        tensors: what it is given.
    """
    tensors = [tf.convert_to_tensor(tensor) for tensor in tensors]
    with record.stop_recording():
        value, gradient = formula(*tensors)

    def back(upstream):
        return tf.nest.flatten(gradient(tf.convert_to_tensor(upstream)))

    record.record_operation("OwnGradient", [value], tensors, back)
    return value
