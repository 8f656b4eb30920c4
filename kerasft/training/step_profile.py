"""A profile of some steps, for TensorBoard's Profile tab.

In: which steps. Out: `plugins/profile/` below the run's folder, on TensorFlow and on
JAX by the profiler of each. The trap: a profile without marked steps shows no step
times.
"""

from pathlib import Path

import keras

from kerasft._errors import SettingsError


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
        self._profiler = _profiler()
        self._mark = None  # The context of the step at work.

    def before(self, step: int):
        """Begin or end, before a step; the first of the fit is 1."""
        if self.steps is None:
            return
        first, last = self.steps
        if step > last:
            self.stop()
        elif step >= first:
            if self._mark is None:
                self._profiler.begin(self.folder)
            else:
                self._mark.__exit__(None, None, None)
            self._mark = self._profiler.marked(step)
            self._mark.__enter__()

    def stop(self):
        """End it, if it is at work."""
        if self._mark is not None:
            self._mark.__exit__(None, None, None)
            self._mark = self.steps = None
            self._profiler.end()


def _profiler():
    """What has `begin(folder)`, `end()` and `marked(step)`."""
    if keras.backend.backend() == "jax":
        from kerasft.training import jax_profiler as profiler
    else:
        from kerasft.training import tensorflow_profiler as profiler
    return profiler
