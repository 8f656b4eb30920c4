"""Loss and speed between two looks at a running fit.

The sums are those that Keras keeps on the device for its progress bar; reading them
waits for the device, so a look is also a fair moment to take the time.
"""

import time

import numpy as np
from keras import ops


class Meter:
    """Measures the task's current epoch.

    Attribute `step` is the epoch's step of the last look.

    Args:
        task: compiled; its `training_batches` (or None) tell the tokens of a batch.
    """

    def __init__(self, task):
        self.task = task
        self.batches = task.training_batches
        self.step = 0
        self._order = None
        self._sums = np.zeros((2, 1))
        self._warm = False
        self._clock = self._timed_from = 0

    def begin_epoch(self, epoch: int):
        """Begin at step 0 of this epoch."""
        self.step = self._timed_from = 0
        self._sums = np.zeros((2, 1))
        self._clock = time.perf_counter()
        if self.batches is not None:
            self._order = self.batches.plan.order(epoch)

    def warm_up(self, step: int):
        """Take the time from `step` on if that is the first: the first one compiles."""
        if not self._warm and step:
            self._read_sums()
            self._warm = True
            self._clock, self._timed_from = time.perf_counter(), step

    def position(self) -> dict:
        """Step and sums of the last look, for one that goes on from here."""
        return {"step": self.step, "sums": self._sums}

    def go_to(self, position: dict):
        """Be where another one was; the time begins anew."""
        self.step, self._sums = position["step"], position["sums"]
        self._timed_from, self._warm = self.step, False

    def read(self, step: int) -> dict[str, float]:
        """Mean loss, and what was done each second, since the last look.

        Args:
            step: steps of this epoch that are done.
        """
        sums = self._read_sums()
        now = time.perf_counter()
        loss, items = sums - self._sums
        some = items > 0
        found = {}
        if some.any():
            found["step/loss"] = float((loss[some] / items[some]).sum())
        seconds, first = now - self._clock, self._timed_from
        if self._warm and step > first:
            found["speed/steps_per_second"] = (step - first) / seconds
            if self.batches is not None:
                examples, tokens = self._work(first, step)
                found["speed/examples_per_second"] = examples / seconds
                found["speed/tokens_per_second"] = tokens / seconds
        self.step, self._sums = step, sums
        self._clock, self._timed_from = now, step
        return found

    def _read_sums(self):
        """Σ(loss·weight) and Σ weight of the epoch so far, (2, parts of the loss)."""
        sums = [ops.convert_to_numpy(s) for s in self.task.loss_sums()]
        return np.array(sums, float).reshape(2, -1)

    def _work(self, first, stop):
        """Examples and tokens, without padding, of some steps."""
        plan = self.batches.plan
        examples = tokens = 0
        for step in range(first, min(stop, len(plan))):
            chosen, _ = plan.batch(self._order, step)
            examples += len(chosen)
            tokens += self.batches.examples.tokens(chosen)
        return examples, tokens


def number(variable) -> float:
    """The value of a Keras variable, of a mirrored one too (`float` fails there)."""
    return float(ops.convert_to_numpy(variable))
