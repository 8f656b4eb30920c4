"""Load TensorFlow without the lines that it prints as it loads, whatever its log level.

The trap: it writes them from C++, so they are held back at the file descriptor; what is
no remark of that kind is shown afterwards, and all of it when the loading fails. It is
not loaded here but where it is needed: a mistake in the settings is told at once.
"""

import os
import re
import sys
import tempfile
from contextlib import contextmanager
from functools import partial
from importlib.abc import MetaPathFinder
from importlib.machinery import PathFinder
from pathlib import Path

RETRACED = "triggered tf.function retracing"  # As several models do, one after another.
REMARK = re.compile(rb"WARNING: All log messages before absl|[IW]\d{4} \d\d:")
NO_DRIVER = re.compile(rb"E\d{4} .*failed call to cuInit")
DRIVER = Path("/dev/nvidiactl")
ERROR_OUTPUT = 2


class Finder(MetaPathFinder):
    """Finds TensorFlow as usual; whoever imports it first, it is loaded quietly."""

    @staticmethod
    def find_spec(name, path=None, target=None):
        """As of `PathFinder`, for the one module; None for all others."""
        if name != "tensorflow":
            return None
        spec = PathFinder.find_spec(name, path, target)
        if spec is not None and spec.loader is not None:
            spec.loader.exec_module = partial(_load, spec.loader.exec_module)
        return spec


def without_remarks():
    """From now on TensorFlow is imported, and looks for devices, without remarks."""
    if Finder not in sys.meta_path:
        sys.meta_path.insert(0, Finder)


def _load(execute, module):
    with _held_back():
        execute(module)
        module.config.list_physical_devices()
    module.get_logger().addFilter(lambda told: RETRACED not in told.getMessage())


@contextmanager
def _held_back():
    sys.stderr.flush()
    own = os.dup(ERROR_OUTPUT)
    left_out = [REMARK] if DRIVER.exists() else [REMARK, NO_DRIVER]
    with tempfile.TemporaryFile() as held:
        os.dup2(held.fileno(), ERROR_OUTPUT)
        try:
            yield
        except BaseException:
            left_out = []
            raise
        finally:
            os.dup2(own, ERROR_OUTPUT)
            os.close(own)
            held.seek(0)
            for line in held:
                if not any(one.match(line) for one in left_out):
                    os.write(ERROR_OUTPUT, line)
