"""Callbacks that keep the best checkpoint and stop a run that has gone wrong.

They hook into `on_train_batch_begin`, not into `on_train_batch_end`: Keras reads every
step's logs back to the host, and waits for the device, as soon as one callback has
the latter.
"""

import math
from contextlib import contextmanager
from pathlib import Path

import keras
import numpy as np
from keras import ops

from kerasft._errors import KerasftError, SettingsError
from kerasft.training.devices import is_chief, wait_for_all
from kerasft.training.row_scores import RowScores

FALLING = ("loss", "mae", "mse", "rmse", "error", "perplexity")
RISING = ("accuracy", "f1", "f1_micro", "f1_macro", "precision", "recall", "pearson")
RISING += ("spearman", "mrr", "retrieval_accuracy", "triplet_accuracy")
RISING += ("neighbour_accuracy",)


class LossNotFiniteError(KerasftError, FloatingPointError):
    """The loss is not a number any more, or infinite."""


class BestCheckpoint(keras.callbacks.Callback):
    """Save the task whenever the monitored value is better than ever before.

    The folder is a Hugging Face checkpoint, or an adapter's where one is trained, the
    old one or the new one at any moment.
    Attributes `best_epoch` (the first is 1; None before any) and `best_value`.

    Args:
        folder: where `task.save_trained` writes.
        monitor: a name in the epoch's logs.
        mode: "min" or "max": which is better; "auto" knows the usual names.
        restore: at the end of the fit load the best weights back from the folder.

    Raises:
        SettingsError: no such mode, or "auto" does not know the name; while training:
            the logs do not hold `monitor`.
    """

    def __init__(self, folder, monitor="val_loss", mode="auto", restore=False):
        super().__init__()
        self.folder = Path(folder)
        self.monitor = monitor
        self.sign = _sign(monitor, mode)
        self.restore = restore
        self.best_epoch = None
        self.best_value = None

    @contextmanager
    def around_fit(self, task, data, options):
        """Refuse a fit that will not measure what is monitored, before it begins."""
        callbacks = options.get("callbacks") or ()
        others = getattr(callbacks, "callbacks", callbacks)
        measured = options.get("validation_data") is not None
        measured = measured or any(map(_may_measure, others))
        if self.monitor.startswith("val_") and not measured:
            raise SettingsError(
                f"BestCheckpoint monitors '{self.monitor}', but fit has no "
                "validation_data. Give it some, or monitor='loss'."
            )
        yield options

    def on_epoch_end(self, epoch, logs=None):
        """Save if this epoch is the best; a value that is not a number never is."""
        if self.monitor not in logs:
            raise SettingsError(
                f"There is no '{self.monitor}' in the epoch's values: "
                f"{', '.join(logs)}. Monitor one of them, or give fit validation_data."
            )
        value = float(logs[self.monitor])
        best = -math.inf if self.best_value is None else self.sign * self.best_value
        if self.sign * value > best:  # False where the value is not a number.
            self.best_epoch, self.best_value = epoch + 1, value
            if is_chief(self.model.distribute_strategy):
                self.model.save_trained(self.folder)

    def on_train_end(self, logs=None):
        """Load the best weights, where that was asked for."""
        if self.restore and self.best_epoch is not None:
            wait_for_all(self.model.distribute_strategy)  # The chief has saved it now.
            self.model.load_trained(self.folder)


class StopOnNaN(keras.callbacks.Callback):
    """End the run with an error as soon as the loss is not finite.

    Guarantees: `fit` raises; the error names the first step whose loss was not finite,
    exactly; at most `every` - 1 more steps are taken after that one, and no epoch ends,
    so nothing is validated or saved after it. `kerasft.adamw` does not make an update
    of gradients that are not finite; with another optimizer the weights in memory are
    lost then, the last checkpoint on disk is not.

    Costs a copy of one number on the device each step; the host waits for the device
    every `every` steps. With `steps_per_execution` the step named is the last one of
    the execution.

    Args:
        every: steps between two looks.
    """

    def __init__(self, every=16):
        super().__init__()
        if every < 1:
            raise SettingsError(f"every is {every}; it must be at least 1.")
        self.every = every
        self._epoch = 0
        self._steps = []
        self._sums = []

    def resume_state(self):
        """Nothing: it looks anew after a resume."""
        return {}

    def resume_from(self, state):
        """Nothing to put back."""

    def on_train_begin(self, logs=None):
        """Refuse a backend whose losses cannot be seen between two steps."""
        self.model.loss_sums()

    def on_epoch_begin(self, epoch, logs=None):
        """Begin to count."""
        self._epoch = epoch
        self._steps, self._sums = [], []

    def on_train_batch_begin(self, batch, logs=None):
        """Take note of the sum of losses up to step `batch` of this epoch."""
        if batch:
            self._steps.append(batch)
            self._sums.append(ops.copy(self.model.loss_sums()[0]))
        if len(self._sums) >= self.every:
            self._raise_if_not_finite()

    def on_test_begin(self, logs=None):
        """Look before validation."""
        self._raise_if_not_finite()

    def on_epoch_end(self, epoch, logs=None):
        """Look at all that is left, the epoch's last step among it."""
        self._raise_if_not_finite()
        if not math.isfinite(logs["loss"]):
            raise _not_finite(epoch, self.params["steps"] or "the last")

    def _raise_if_not_finite(self):
        if not self._sums:
            return
        sums = ops.convert_to_numpy(ops.stack(self._sums))
        bad = ~np.isfinite(sums).reshape(len(sums), -1).all(axis=1)
        if bad.any():
            raise _not_finite(self._epoch, self._steps[int(bad.argmax())])
        self._steps, self._sums = [], []


def _may_measure(callback):
    """Whether a callback may add values to an epoch's: `RowScores`, or a user's."""
    owner = type(callback).__module__.split(".")[0]
    return isinstance(callback, RowScores) or owner not in ("keras", "kerasft")


def _not_finite(epoch, step):
    return LossNotFiniteError(
        f"The loss of step {step} of epoch {epoch + 1} is not finite, so training has "
        "stopped. Begin again, or from the last checkpoint, with a smaller learning "
        "rate; or, if it is not so yet, with clip_norm=1.0, or mixed_bfloat16 in place "
        "of mixed_float16."
    )


def _sign(monitor, mode):
    """1 where more is better, -1 where less is."""
    name = monitor.removeprefix("val_")
    if mode == "auto":
        # Of several outputs each metric has its output's name before its own.
        known = [n for n in FALLING + RISING if name == n or name.endswith(f"_{n}")]
        mode = ("min" if known[0] in FALLING else "max") if known else mode
    if mode not in ("min", "max"):
        raise SettingsError(
            f"monitor is {monitor!r}, and mode is {mode!r}: whether it should rise or "
            f"fall is not known. Known are {', '.join(RISING + FALLING)}, each also "
            "with val_ before it; of a metric of your own tell it in Python, by "
            "mode='max' or mode='min'."
        )
    return 1 if mode == "max" else -1
