"""TensorFlow's profiler, as `step_profile.py` asks for one."""

from pathlib import Path

import tensorflow as tf


def begin(folder: Path):
    """Begin to record."""
    tf.profiler.experimental.start(str(folder))


def end():
    """Write what was recorded."""
    tf.profiler.experimental.stop()


def marked(step: int):
    """A context that marks what happens in it as a step."""
    return tf.profiler.experimental.Trace("train", step_num=step, _r=1)
