"""Learning rates that rise, then fall.

A schedule may be made before anybody knows how long the run is: `Task.fit` fills in
`total_steps` when it is None.

Source: the formulas of `transformers.get_{linear,cosine,constant}_schedule_with_
warmup`, step for step (with any warm-up the first update has learning rate 0).
"""

import math

import keras
from keras import ops

from kerasft._errors import SettingsError


def _linear(progress):
    return 1.0 - progress


def _cosine(progress):
    return 0.5 * (1.0 + ops.cos(math.pi * progress))


def _constant(progress):
    return ops.ones_like(progress)


DECAYS = {"linear": _linear, "cosine": _cosine, "constant": _constant}


@keras.saving.register_keras_serializable("kerasft")
class WarmupSchedule(keras.optimizers.schedules.LearningRateSchedule):
    """Straight up from 0 to the peak, then down by `decay` to 0 (or level).

    Args:
        peak: the highest learning rate.
        total_steps: optimizer steps of the whole run; None: `Task.fit` fills it in.
        warmup: share of all steps spent rising, 0 to 1.
        decay: "linear", "cosine" or "constant".
        first_step: the optimizer step at which the run begins.

    Raises:
        SettingsError: a number or name outside what it may be.
    """

    def __init__(
        self, peak, total_steps=None, warmup=0.1, decay="linear", first_step=0
    ):
        if decay not in DECAYS:
            raise SettingsError(
                f"decay is {decay!r}, but must be one of: {', '.join(DECAYS)}."
            )
        if not 0 <= warmup < 1:
            raise SettingsError(
                f"warmup is a share of the run, 0 to 1, not {warmup}. "
                "For a number of steps divide by the total."
            )
        if not peak > 0 or not math.isfinite(peak):
            raise SettingsError(f"learning rate is {peak}; it must be above 0.")
        self.peak = float(peak)
        self.total_steps = total_steps
        self.is_open = total_steps is None
        self.warmup = float(warmup)
        self.decay = decay
        self.first_step = first_step

    def __call__(self, step):
        """The learning rate of optimizer step `step`, counted from 0."""
        if self.total_steps is None:
            raise SettingsError(
                "The schedule does not know how long the run is. Give total_steps = "
                "epochs x batches, or train with task.fit, which fills it in."
            )
        step = ops.cast(step, "float32") - self.first_step
        rising = math.ceil(self.total_steps * self.warmup)
        falling = max(1, self.total_steps - rising)
        progress = ops.clip((step - rising) / falling, 0.0, 1.0)
        fall = DECAYS[self.decay](progress)
        return self.peak * ops.where(step < rising, step / max(1, rising), fall)

    def get_config(self):
        """What it was made from."""
        return {
            "peak": self.peak,
            "total_steps": self.total_steps,
            "warmup": self.warmup,
            "decay": self.decay,
            "first_step": self.first_step,
        }
