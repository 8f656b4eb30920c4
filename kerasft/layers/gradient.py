"""Formulas that bring their own gradient."""

from functools import wraps

import keras
from keras import ops


def with_gradient(formula):
    """Decorate a function (tensors) -> (value, gradient) as `ops.custom_gradient` does.

    `gradient(*args, upstream=None)` gives one gradient for each tensor; what flows back
    is its first argument on TensorFlow and `upstream` on the other backends.
    """
    if keras.backend.backend() != "tensorflow":
        return wraps(formula)(ops.custom_gradient(formula))

    @wraps(formula)
    def value(*tensors):
        from kerasft.layers.gradient_tensorflow import differentiated

        return differentiated(formula, tensors)

    return value
