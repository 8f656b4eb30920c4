"""Load TensorFlow without the lines that it prints as it loads, whatever its log level.

The trap: it writes them from C++, so they are held back at the file descriptor; what is
no remark of that kind is shown afterwards, and all of it when the loading fails.
"""

import os
import re
import sys
import tempfile
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

REMARK = re.compile(rb"WARNING: All log messages before absl|[IW]\d{4} \d\d:")
NO_DRIVER = re.compile(rb"E\d{4} .*failed call to cuInit")
DRIVER = Path("/dev/nvidiactl")
ERROR_OUTPUT = 2


def load_tensorflow():
    """Import TensorFlow, if it is there, and let it look for devices."""
    if "tensorflow" in sys.modules or find_spec("tensorflow") is None:
        return
    with _without_remarks():
        import tensorflow as tf

        tf.config.list_physical_devices()


@contextmanager
def _without_remarks():
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
