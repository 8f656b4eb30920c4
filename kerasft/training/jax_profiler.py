"""JAX's profiler, as `step_profile.py` asks for one.

The trap: JAX works behind the program's back, so the end waits for it.
"""

from pathlib import Path

import jax


def begin(folder: Path):
    """Begin to record."""
    jax.profiler.start_trace(str(folder))


def end():
    """Write what was recorded, when the devices have done it."""
    jax.block_until_ready(jax.live_arrays())
    jax.profiler.stop_trace()


def marked(step: int):
    """A context that marks what happens in it as a step."""
    return jax.profiler.StepTraceAnnotation("train", step_num=step)
