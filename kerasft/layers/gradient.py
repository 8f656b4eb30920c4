"""Formulas that bring their own gradient, and a way to leave it out.

The trap: a SavedModel cannot hold such a gradient, and TensorFlow warns whoever loads
a graph that once had one.
"""

from functools import wraps

from keras import ops

from kerasft.layers.switch import Switch

# Within `without_gradients()` the formulas' operations alone are traced, for serving.
without_gradients = Switch("without_gradients")


def with_gradient(formula):
    """Decorate a function (tensors) -> (value, gradient) as `ops.custom_gradient` does.

    `gradient(*args, upstream=None)` gives one gradient for each tensor; what flows back
    is its first argument on TensorFlow and `upstream` on the other backends.
    """
    own = ops.custom_gradient(formula)

    @wraps(formula)
    def value(*tensors):
        return formula(*tensors)[0] if without_gradients.on else own(*tensors)

    return value
