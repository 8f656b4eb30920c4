"""The best checkpoint is kept, and a lost run ends with an error."""

import keras
import numpy as np
import pytest
from tiny_tasks import LABELS, tiny_rows

import kerasft as kft
from kerasft._errors import SettingsError
from kerasft.training.callbacks import LossNotFiniteError, StopOnNaN


def weights_of(task):
    return [keras.ops.convert_to_numpy(w) for w in task.weights]


class Script(keras.callbacks.Callback):
    """Set the monitored value, and a weight by which the epoch is known."""

    def __init__(self, values):
        super().__init__()
        self.values = values

    def on_epoch_end(self, epoch, logs=None):
        logs["val_loss"] = self.values[epoch]
        self.model.head.weights[-1].assign([epoch, epoch, epoch])


def train(task, values, **settings):
    """One epoch for each scripted value; the checkpoint callback."""
    folder = settings.pop("folder")
    best = kft.BestCheckpoint(folder, **settings)
    task.compile(optimizer=keras.optimizers.SGD(0.01))
    data = task.dataset(tiny_rows(8), 8, max_shapes=1)
    task.fit(data, epochs=len(values), callbacks=[Script(values), best], verbose=0)
    return best


def epoch_of(task):
    return int(keras.ops.convert_to_numpy(task.head.weights[-1])[0])


@pytest.mark.parametrize(
    "values, mode, expected",
    [
        ([3.0, 1.0, 2.0], "auto", 1),
        ([3.0, 1.0, 2.0], "max", 0),
        ([float("nan"), 2.0, float("nan"), 3.0], "min", 1),
        ([1.0, 1.0], "min", 0),
    ],
)
def test_the_folder_holds_the_best_epoch(values, mode, expected, task, tmp_path):
    best = train(task, values, folder=tmp_path / "best", mode=mode)
    assert (best.best_epoch, best.best_value) == (expected + 1, values[expected])
    loaded = kft.TextClassifier.from_pretrained(tmp_path / "best")
    assert loaded.labels == LABELS
    assert epoch_of(loaded) == expected
    assert epoch_of(task) == len(values) - 1


def test_the_best_weights_can_be_had_back_at_the_end(task, tmp_path):
    train(task, [1.0, 2.0, 3.0], folder=tmp_path / "best", restore=True)
    assert epoch_of(task) == 0
    loaded = kft.TextClassifier.from_pretrained(tmp_path / "best")
    for ours, theirs in zip(weights_of(task), weights_of(loaded), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_a_value_that_never_is_a_number_saves_nothing(task, tmp_path):
    best = train(task, [float("nan")], folder=tmp_path / "best", restore=True)
    assert best.best_epoch is None
    assert not (tmp_path / "best").exists()


def test_a_value_that_is_not_there_is_refused(task, tmp_path):
    with pytest.raises(SettingsError, match="no 'val_f1'.*accuracy, f1, loss"):
        train(task, [1.0], folder=tmp_path / "best", monitor="val_f1")


@pytest.mark.parametrize("monitor", ["val_loss", "loss", "val_f1_macro", "val_mae"])
def test_usual_names_need_no_mode(monitor, tmp_path):
    rising = kft.BestCheckpoint(tmp_path, monitor).sign == 1
    assert rising == ("f1" in monitor)


@pytest.mark.parametrize("settings", [{"monitor": "val_zeal"}, {"mode": "best"}])
def test_an_unknown_direction_is_refused(settings, tmp_path):
    with pytest.raises(SettingsError, match="monitor is .*accuracy, f1.*by mode='max'"):
        kft.BestCheckpoint(tmp_path, **settings)


class Poison(keras.callbacks.Callback):
    """Make a weight NaN before one step, and count the steps begun."""

    def __init__(self, step, epoch):
        super().__init__()
        self.place = (epoch, step)
        self.epoch = None
        self.begun = []

    def on_epoch_begin(self, epoch, logs=None):
        self.epoch = epoch

    def on_train_batch_begin(self, batch, logs=None):
        self.begun.append((self.epoch, batch + 1))
        if self.begun[-1] == self.place:
            weight = self.model.head.weights[-1]
            weight.assign(np.full(weight.shape, np.nan))


@pytest.mark.parametrize(
    "every, epoch, step", [(1, 0, 1), (1, 0, 5), (3, 1, 4), (16, 0, 5), (16, 1, 6)]
)
def test_the_first_lost_step_is_named(epoch, step, every, task, tmp_path):
    task.compile(optimizer=keras.optimizers.SGD(0.01))
    rows = tiny_rows(24)
    data = task.dataset(rows, 4, max_shapes=1)
    poison, best = Poison(step, epoch), kft.BestCheckpoint(tmp_path / "best")
    callbacks = [StopOnNaN(every), poison, best]
    fit = {"epochs": 3, "validation_data": data, "callbacks": callbacks, "verbose": 0}
    with pytest.raises(LossNotFiniteError, match=f"step {step} of epoch {epoch + 1} "):
        task.fit(data, **fit)
    assert len(poison.begun) <= epoch * 6 + min(6, step + every - 1)
    assert best.best_epoch == (1 if epoch else None)


def test_a_sound_run_is_left_alone(task):
    task.compile(optimizer=keras.optimizers.SGD(0.01))
    data = task.dataset(tiny_rows(24), 4, max_shapes=1)
    history = task.fit(data, epochs=2, callbacks=[StopOnNaN(2)], verbose=0).history
    assert len(history["loss"]) == 2


def test_looking_never_is_refused():
    with pytest.raises(SettingsError, match="every is 0"):
        StopOnNaN(0)


def test_a_fit_that_does_not_measure_what_is_monitored_is_refused_at_once(
    task, tmp_path
):
    task.compile(kft.adamw(total_steps=3))
    batches = task.dataset(tiny_rows(9), 4, training=True)
    with pytest.raises(SettingsError, match="monitors 'val_f1'.*no validation_data"):
        task.fit(batches, callbacks=[kft.BestCheckpoint(tmp_path, "val_f1")])
    assert int(task.optimizer.iterations.numpy()) == 0
