"""The Resume callback: a fit that is killed at any moment goes on where it was.

The same script, run again, ends with the same weights as if nothing had happened: to
the last bit on a CPU, with the same versions and as many threads. Snapshots are taken
at the start of a step, when the state is that of all steps before; the dropout's seeds,
the place in the data and the callbacks' state are part of it.
"""

import sys
import time
import warnings
from contextlib import contextmanager, nullcontext
from pathlib import Path

import keras

from kerasft._errors import SettingsError
from kerasft.tasks.step import batches_of
from kerasft.training import snapshot
from kerasft.training.agreement import Agreement
from kerasft.training.devices import is_chief, sum_over_workers
from kerasft.training.end_signals import EndSignals, end_by
from kerasft.training.fingerprint import VERSIONS, differences, fingerprint
from kerasft.training.fit_state import FitState, make_variables
from kerasft.training.replay import Replay, ReplayingCallbacks
from kerasft.training.run_lock import RunLock

LEAST_SECONDS = 30.0
LINGER = 1.0  # What others still read of this worker's sums would go with it.
SHARE = 60  # A snapshot takes at most one in so many seconds.


class Resume(keras.callbacks.Callback):
    """Keep snapshots of a fit, and continue from the newest when it is run again.

    `task.fit(..., callbacks=[kerasft.Resume("saved_models/reviews/resume")])`. It is
    the last callback to act, wherever it stands in the list. SIGTERM and Ctrl-C take a
    snapshot before they end the process; a fit that was finished only loads its end.

    In the fit of a Keras model that is no task of kerasft the other callbacks begin
    anew, and the dataset must come in the same order in each epoch.

    Args:
        folder: of the snapshots; one for each fit. One process at a time may use it; of
            several workers all do, and the chief writes.
        save_steps: steps between two snapshots.
        save_minutes: minutes between two. None, without `save_steps`: as often as it
            costs less than 1/60 of the time, but at most every 30 seconds.
        keep: snapshots that are kept; the older ones are fallbacks.
        allow_changes: go on although data or settings have changed since.

    Raises:
        SettingsError: numbers out of bounds; when the fit begins: another process uses
            the folder, or data or settings have changed, all of them listed.
        CheckpointError: when the fit begins: the snapshot is of another model, or
            there are some and none is intact.
    """

    def __init__(
        self, folder, *, save_steps=None, save_minutes=None, keep=2, allow_changes=False
    ):
        super().__init__()
        numbers = {"save_steps": save_steps, "save_minutes": save_minutes, "keep": keep}
        wrong = [f"{k} is {v}" for k, v in numbers.items() if v is not None and v <= 0]
        if wrong:
            raise SettingsError(f"{', '.join(wrong)}; it must be above 0.")
        self.folder = Path(folder)
        self.save_steps, self.save_minutes = save_steps, save_minutes
        self.keep, self.allow_changes = keep, allow_changes
        self.resumed_from = None
        self._state = self._lock = self._replay = None
        self._signals = EndSignals()

    # --- the fit as a whole

    @contextmanager
    def around_fit(self, task, data, options):
        """What `Task.fit` does while this callback is in its list.

        Yields:
            The options of `fit`, with callbacks that leave out what was done before.
        """
        others = [one for one in options.get("callbacks") or () if one is not self]
        if not any(isinstance(one, keras.callbacks.History) for one in others):
            others.append(keras.callbacks.History())
        try:
            self._open(task, data, options.get("epochs", 1), others)
            verbose = options.get("verbose", "auto")
            callbacks = ReplayingCallbacks(
                [*others, self],
                replay=self._replay,
                add_progbar=verbose != 0,
                model=task,
                verbose=verbose,
                epochs=options.get("epochs", 1),
                steps=_length(data),
            )
            yield options | {"callbacks": callbacks}
        finally:
            self._close()

    def _open(self, model, data, epochs, others):
        """Find out where to begin, before anything is changed."""
        _raise_on_other_backends()
        strategy = model.distribute_strategy
        self._writes = is_chief(strategy)
        if self._writes:
            self._lock = RunLock(self.folder)
        with strategy.scope() if hasattr(strategy, "scope") else nullcontext():
            make_variables(model, data)
        self._agree = Agreement(sum_over_workers(strategy))
        self._epochs = epochs
        self._state = FitState(model, others)
        self._print = fingerprint(model, data, epochs)
        self._found = snapshot.to_go_on_from(self.folder)
        place = (0, 0)
        if self._found is not None:
            self._compare(self._found.state["fingerprint"])
            place = tuple(self._found.state["place"])
        passing = others and batches_of(data) is None and place[0] < epochs
        self._replay = Replay(model, place, batches_of(data), passes_epochs=passing)

    def _compare(self, then):
        """Refuse to go on with something else, or warn."""
        found = differences(then, self._print)
        if not found:
            return
        lines = [f"{g} ({name}): was {old}, is {new}" for g, name, old, new in found]
        told = f"{self._found.path}: since this snapshot was taken,\n  "
        told += "\n  ".join(lines)
        if self.allow_changes or all(group == VERSIONS for group, *_ in found):
            warnings.warn(f"{told}\nThe weights may be others for it.", stacklevel=2)
            return
        raise SettingsError(
            f"{told}\nRun it as it was, begin anew in another folder, or go on with "
            "these changes by allow_changes=True (on the command line --restart to "
            "begin anew, --allow-changes to go on)."
        )

    def _close(self):
        self._signals.leave()
        if self._replay is not None:
            self._replay.close()
        if self._lock is not None:
            self._lock.release()
        self._state = self._lock = self._replay = None

    # --- moments of the fit

    def on_train_begin(self, logs=None):
        """Put back the newest snapshot, if there is one."""
        if self._state is None:  # In the fit of a model that knows nothing of this.
            self._open(self.model, None, self.params["epochs"], ())
        if self._found is not None:
            self._state.put_back(self._found)
            self._state.put_into_callbacks()
            self.resumed_from = self._found.step
            self._tell(_going_on(self._found, self._epochs, self.params.get("steps")))
        self._replay.begin()
        iterations = keras.ops.convert_to_numpy(self.model.optimizer.iterations)
        self._first_step = int(iterations)
        self._signals.listen()
        self._saved_at = time.monotonic()
        self._pause = LEAST_SECONDS
        self._saved_step = self._step()
        self._held = None

    def on_epoch_begin(self, epoch, logs=None):
        """Put back what Keras and the callbacks have just emptied."""
        self._epoch = epoch
        self._replay.begin_epoch(epoch)
        if self._replay.enters(epoch):
            self._state.put_back_metrics()
            self._state.put_into_callbacks()
            self._replay.remember_logs()

    def on_train_batch_begin(self, batch, logs=None):
        """Take a snapshot if one is due; `batch` steps of the epoch are done."""
        self._look(self._epoch, batch)

    def on_test_begin(self, logs=None):
        """The epoch's steps are done; Keras is about to empty the metrics."""
        if self._state is None:
            return  # An evaluation of its own.
        self._look(self._epoch, self._replay.done)
        self._held = self._state.metrics()

    def on_test_batch_begin(self, batch, logs=None):
        """End here if that is asked for; the validation begins anew then."""
        if self._state is None:
            return
        asked = self._agree(*self._signals.came())
        if any(asked):
            self._save((self._epoch, self._replay.done))
            self._stop(asked)

    def on_test_end(self, logs=None):
        """Forget them."""
        self._held = None

    def on_epoch_end(self, epoch, logs=None):
        """Take a snapshot if one is due, from where the next epoch begins."""
        self._look(epoch + 1, 0)

    def on_train_end(self, logs=None):
        """Keep the end, so that the fit is known to be finished."""
        self._save((self._epochs, 0))
        asked = self._agree(*self._signals.came(), now=True)
        if any(asked):
            self._stop(asked)
        self._close()

    # --- snapshots

    def _look(self, epoch, step):
        *asked, is_late = self._agree(
            *self._signals.came(), self._writes and self._is_late()
        )
        if any(asked):
            self._save((epoch, step))
            self._stop(asked)
        elif is_late or self._has_steps():
            self._save((epoch, step))

    def _has_steps(self):
        """Whether enough steps were made since the last snapshot."""
        return self.save_steps and self._step() - self._saved_step >= self.save_steps

    def _is_late(self):
        """Whether enough time has passed since the last snapshot."""
        if self.save_minutes is None:
            pause = float("inf") if self.save_steps else self._pause
        else:
            pause = 60 * self.save_minutes
        return time.monotonic() - self._saved_at >= pause

    def _save(self, place):
        """Write a snapshot; without one a fit goes on, but not without a word."""
        self._state.sync()
        if not self._state.is_finite():
            return  # The last good one is kept.
        began, step = time.monotonic(), self._step()
        arrays, state = self._state.taken(self._held)
        state |= {"place": list(place), "fingerprint": self._print}
        if self._writes:
            try:
                snapshot.write(self.folder, step, arrays, state)
                snapshot.thin_out(self.folder, self.keep)
            except OSError as error:
                warnings.warn(
                    f"No snapshot of step {step}: {error}. The earlier ones are "
                    "intact, and training goes on.",
                    stacklevel=2,
                )
        self._saved_at, self._saved_step = time.monotonic(), step
        self._pause = max(LEAST_SECONDS, SHARE * (self._saved_at - began))

    def _step(self):
        """Steps that are done; counted, for reading it would wait for the device."""
        return self._first_step + self._replay.steps

    def _stop(self, asked):
        self._tell(f"Stopped at step {self._step()}. The same command goes on there.")
        self._close()
        if self._agree.several:
            time.sleep(LINGER)
        end_by(asked)

    def _tell(self, message):
        if self._writes and self.params.get("verbose"):
            sys.stdout.write(f"{message}\n")


def _going_on(found, epochs, steps):
    epoch, step = found.state["place"]
    if epoch >= epochs:
        return (
            f"{found.path}: this fit is finished, its weights are loaded. To train "
            "anew, delete the folder or name another."
        )
    place = "its end" if step == steps else f"step {step + 1}"
    return f"Going on from {found.path}: epoch {epoch + 1}, {place}."


def _raise_on_other_backends():
    backend = keras.backend.backend()
    if backend not in ("tensorflow", "jax"):
        raise SettingsError(
            f"kerasft.Resume works on TensorFlow and JAX; Keras runs on {backend}. Set "
            "KERAS_BACKEND, or do without."
        )


def _length(data):
    length = int(getattr(data, "cardinality", lambda: -1)())
    return length if length > 0 else None
