"""What a person looks for beside the curves: memory, norms, lengths.

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

GIB = 2**30
STATUS = Path("/proc/self/status")
RSS_UNIT = 1 if sys.platform == "darwin" else 1024  # Bytes there, KiB on Linux.


def peak_memory() -> dict[str, float]:
    """Most memory that the process and each of its devices have held so far, GiB."""
    found = {"memory/host_peak_gib": _host_peak() / GIB}
    for number, peak in enumerate(_device_peaks()):
        found[f"memory/gpu_{number}_peak_gib"] = peak / GIB
    return found


def _host_peak():
    """Bytes. On Linux `ru_maxrss` begins with what the starting process held."""
    status = STATUS.read_text() if STATUS.exists() else ""
    _, told, rest = status.partition("VmHWM:")
    if told:
        return int(rest.split()[0]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * RSS_UNIT


def _device_peaks():
    """Bytes, of each GPU or TPU core of this process."""
    if keras.backend.backend() == "jax":
        from kerasft.training.jax_devices import peaks

        return peaks()
    count = len(tf.config.list_logical_devices("GPU"))
    told = (tf.config.experimental.get_memory_info(f"GPU:{n}") for n in range(count))
    return [one["peak"] for one in told]


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
