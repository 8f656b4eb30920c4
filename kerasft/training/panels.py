"""What a person looks for beside the curves: memory, norms, lengths, a profile.

A task in, plain numbers and figures out; `TensorBoard` writes them. The trap: all of it
is read between steps, so it must be cheap, or wait for the end of an epoch.
"""

import resource
import sys
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from keras import ops

from kerasft._errors import SettingsError

GIB = 2**30
RSS_UNIT = 1 if sys.platform == "darwin" else 1024  # Bytes there, KiB on Linux.


def peak_memory() -> dict[str, float]:
    """Most memory that this process, and each of its GPUs, has held so far, GiB."""
    used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * RSS_UNIT
    found = {"memory/host_peak_gib": used / GIB}
    for number, _ in enumerate(tf.config.list_logical_devices("GPU")):
        told = tf.config.experimental.get_memory_info(f"GPU:{number}")
        found[f"memory/gpu_{number}_peak_gib"] = told["peak"] / GIB
    return found


def weight_norm(task: keras.Model) -> float:
    """Root of the sum of squares of all trained weights."""
    squares = [
        ops.sum(ops.square(ops.cast(ops.convert_to_tensor(one), "float32")))
        for one in task.trainable_variables
    ]
    return float(np.sqrt(sum(float(ops.convert_to_numpy(one)) for one in squares)))


def weights_by_name(task: keras.Model) -> dict[str, np.ndarray]:
    """Path -> values of each trained weight."""
    return {one.path: ops.convert_to_numpy(one) for one in task.trainable_variables}


def lengths_of(batches) -> np.ndarray | None:
    """Tokens of each example; None of data that do not tell."""
    lengths = getattr(getattr(batches, "examples", None), "lengths", None)
    return None if lengths is None else np.asarray(lengths)


class StepProfile:
    """A profile of some steps, for the Profile tab (tensorboard-plugin-profile).

    Args:
        folder: of the run.
        steps: the first and the last one of the fit, from 1 on; None: no profile.

    Raises:
        SettingsError: not two numbers in order.
    """

    def __init__(self, folder: Path, steps):
        if steps is not None and not (len(steps) == 2 and 1 <= steps[0] <= steps[1]):
            raise SettingsError(
                f"profile is {steps}; give the first and the last step, such as [5, 8]."
            )
        self.folder = folder
        self.steps = steps
        self._at_work = False

    def before(self, step: int):
        """Begin or end, before a step; the first of the fit is 1."""
        if self.steps is None:
            return
        first, last = self.steps
        if self._at_work and step > last:
            self.stop()
        elif first <= step <= last and not self._at_work:
            tf.profiler.experimental.start(str(self.folder))
            self._at_work = True

    def stop(self):
        """End it, if it is at work."""
        if self._at_work:
            self._at_work, self.steps = False, None
            tf.profiler.experimental.stop()
