"""Formulas that bring their own gradient, and a way to leave it out.

The trap: a SavedModel cannot hold such a gradient, and TensorFlow warns whoever loads
a graph that once had one.
"""

from contextlib import contextmanager
from contextvars import ContextVar
from functools import wraps

from keras import ops

_left_out = ContextVar("gradients_left_out", default=False)


def with_gradient(formula):
    """Decorate a function (tensors) -> (value, gradient) as `ops.custom_gradient` does.

    `gradient(*args, upstream=None)` gives one gradient for each tensor; what flows back
    is its first argument on TensorFlow and `upstream` on the other backends.
    """
    own = ops.custom_gradient(formula)

    @wraps(formula)
    def value(*tensors):
        return formula(*tensors)[0] if _left_out.get() else own(*tensors)

    return value


@contextmanager
def without_gradients():
    """Within the block the formulas' operations alone are traced, for serving."""
    before = _left_out.set(True)
    try:
        yield
    finally:
        _left_out.reset(before)
