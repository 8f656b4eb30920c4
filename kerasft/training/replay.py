"""Bring a fit to where another one was: its steps up to there are gone through idly.

Keras numbers epochs and steps itself, so those done before are not left out but passed:
their batches are taken and thrown away, no step is computed, and the callbacks hear
nothing. The order of our own batches is a function of the epoch, so whole epochs are
left out, and stand-ins take the place of the batches of the first. Of other datasets
every pass is begun, so that a seeded `shuffle` is where it was.
"""

import keras


class Replay:
    """The steps of a fit that are not to be done again.

    Attribute `done`: steps of the current epoch that are done; `steps`: all steps that
    this fit has done itself.

    Args:
        model: about to be fitted.
        place: (epoch, step) of the first step to do.
        batches: the `Batches` that it is fed, or None.
        passes_epochs: begin earlier epochs, too; the callbacks must be
            `ReplayingCallbacks`.
    """

    def __init__(self, model, place, batches, passes_epochs):
        self.model, self.batches = model, batches
        self.epoch, self.step = place
        self.passes_epochs = passes_epochs
        self.done = self.steps = 0
        self._current = 0
        self.logs = {}

    def begin(self):
        """Take the place of the model's train function."""
        model = self.model
        if isinstance(model.train_function, _Passing):
            model.train_function = model.train_function.function
        model.train_function = _Passing(model, model.train_function, self)
        if self.passes_epochs:
            model._should_eval = self._should_validate
        else:
            model._initial_epoch = self.epoch
        if self.batches is not None:
            self.batches.resume_at = (self.epoch, self.step)

    def close(self):
        """Leave the model as it was."""
        model = self.model
        if isinstance(model.train_function, _Passing):
            model.train_function = model.train_function.function
        vars(model).pop("_should_eval", None)
        model._initial_epoch = None
        if self.batches is not None:
            self.batches.resume_at = None

    def begin_epoch(self, epoch):
        """Count from 0."""
        self._current, self.done = epoch, 0

    def remember_logs(self):
        """Take the metrics' values for those of the steps that are passed."""
        # Now, for on JAX the variables are empty while steps are done.
        compiled = self.model._compile_metrics
        if compiled is None or compiled.built:
            self.logs = self.model.get_metrics_result()

    def enters(self, epoch) -> bool:
        """Whether this is an epoch that was left in the middle."""
        return epoch == self.epoch and self.step > 0

    def is_past(self, step=None) -> bool:
        """Whether a step of the current epoch, or all of it, was done before."""
        if self._current == self.epoch and step is not None:
            return step < self.step
        return self._current < self.epoch

    def _should_validate(self, epoch, frequency):
        if self._current < self.epoch:
            return False
        return type(self.model)._should_eval(self.model, epoch, frequency)


class _Passing:
    """A train function that passes steps which were done before."""

    def __init__(self, model, function, replay):
        self.model, self.function, self.replay = model, function, replay

    def __call__(self, *arguments):
        """Keras gives an iterator; on JAX the state before it."""
        steps = int(self.model.steps_per_execution)
        past = self.replay.is_past(self.replay.done)
        self.replay.done += steps
        if not past:
            self.replay.steps += steps
            return self.function(*arguments)
        for _ in range(steps):
            next(arguments[-1])
        state = arguments[:-1]
        return (self.replay.logs, *state) if state else self.replay.logs


class ReplayingCallbacks(keras.callbacks.CallbackList):
    """Callbacks that hear nothing of steps that were done before.

    Args:
        callbacks: in order.
        replay: the `Replay`.
        **options: of `CallbackList`.
    """

    def __init__(self, callbacks, replay, **options):
        self.replay = replay
        super().__init__(callbacks, **options)

    def on_epoch_begin(self, epoch, logs=None):
        """An epoch begins."""
        self.replay.begin_epoch(epoch)
        if not self.replay.is_past():
            super().on_epoch_begin(epoch, logs)

    def on_epoch_end(self, epoch, logs=None):
        """An epoch ends."""
        if not self.replay.is_past():
            super().on_epoch_end(epoch, logs)

    def on_train_batch_begin(self, batch, logs=None):
        """A step begins."""
        if not self.replay.is_past(batch):
            super().on_train_batch_begin(batch, logs)

    def on_train_batch_end(self, batch, logs=None):
        """A step ends."""
        if not self.replay.is_past(batch):
            super().on_train_batch_end(batch, logs)
