"""Layers that come and go in a model that is built."""

from contextlib import contextmanager


@contextmanager
def open_tracker(layer):
    """Within the block Keras follows layers that are set on a built one.

    The trap: what is removed has to be taken out of `layer._layers`, too.
    """
    locked = layer._tracker.locked
    layer._tracker.unlock()
    try:
        yield
    finally:
        if locked:
            layer._tracker.lock()
