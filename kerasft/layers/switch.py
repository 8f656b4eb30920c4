"""What layers do otherwise within a `with` block, for what is traced there."""

from contextlib import contextmanager
from contextvars import ContextVar


class Switch:
    """Off, but on within `with switch():`; each thread has its own.

    Args:
        name: for debugging.
    """

    def __init__(self, name):
        self._value = ContextVar(name, default=False)

    @property
    def on(self):
        """Whether the code runs within such a block."""
        return self._value.get()

    @contextmanager
    def __call__(self):
        """Be on within the block."""
        before = self._value.set(True)
        try:
            yield
        finally:
            self._value.reset(before)
