"""New folders that a killed save has left beside its target.

A save holds its new folder by the system's lock (flock), which ends with its process,
however that ends; so what nobody holds is left over, on whatever machine it was made.
Systems without flock keep such folders.
"""

import os
import re
import shutil
import time
from contextlib import contextmanager, suppress

try:
    import fcntl
except ImportError:  # Windows.
    fcntl = None

NEW = 60
"""Seconds in which a folder may be made, and not be held yet."""


@contextmanager
def held(folder):
    """Within the block others see that a folder is being written."""
    descriptor = _locked(folder)
    try:
        yield
    finally:
        if descriptor is not None:
            os.close(descriptor)


def remove_left_over(target):
    """Delete the folders of saves into `target` that have ended without an end."""
    name = re.compile(rf"\.{re.escape(target.name)}\.saving-[0-9a-f]{{8}}")
    for path in target.parent.iterdir():
        if not name.fullmatch(path.name) or path.is_symlink() or not path.is_dir():
            continue
        if time.time() - path.stat().st_mtime < NEW:
            continue
        descriptor = _locked(path)
        if descriptor is not None:
            shutil.rmtree(path, ignore_errors=True)
            os.close(descriptor)


def _locked(folder):
    """A descriptor that holds the lock; None where another does, or nobody can."""
    with suppress(OSError, AttributeError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except (OSError, AttributeError):
            os.close(descriptor)
            raise
        return descriptor
    return None
