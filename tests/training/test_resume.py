"""A fit that is ended anywhere and run again ends with the same bits."""

import os
import signal
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf
from resumed_fit import changed, fitted, new_task, rows

import kerasft as kft
from kerasft._errors import CheckpointError, SettingsError
from kerasft.training import snapshot

METHODS = {
    "full": lambda: None,
    "lora": lambda: kft.LoRA(rank=2, dropout=0.2),
    "adalora": lambda: kft.AdaLoRA(warmup_steps=2, final_steps=4, every=2),
    "prefix": lambda: kft.PrefixTuning(num_virtual_tokens=2),
}


class Ended(Exception):
    """As if the process was killed."""


class EndAt(keras.callbacks.Callback):
    """End before a step (epoch, step), or before the validation (epoch, "test")."""

    def __init__(self, *place, end=None):
        super().__init__()
        self.place = place
        self.end = end
        self.epoch = 0

    def on_epoch_begin(self, epoch, logs=None):
        self.epoch = epoch

    def on_train_batch_begin(self, batch, logs=None):
        self.look(batch)

    def on_test_begin(self, logs=None):
        self.look("test")

    def look(self, where):
        if (self.epoch, where) == self.place:
            if self.end is None:
                raise Ended
            self.end()


def same_bits(left, right):
    return all(
        np.array_equal(*pair)
        for pair in zip(changed(left), changed(right), strict=True)
    )


def end_at(task, folder, *place, **options):
    with pytest.raises(Ended):
        resume = kft.Resume(folder, save_steps=2)
        fitted(task, [resume, EndAt(*place)], **options)


@pytest.mark.parametrize(
    "name",
    [
        "lora",
        *(pytest.param(n, marks=pytest.mark.slow) for n in METHODS if n != "lora"),
    ],
)
def test_a_fit_that_is_killed_three_times_ends_with_the_same_bits(
    tiny_bert, tmp_path, name
):
    whole = new_task(tiny_bert, METHODS[name]())
    history = fitted(whole, []).history
    for place in ((0, 3), (1, "test"), (2, 5)):
        end_at(new_task(tiny_bert, METHODS[name]()), tmp_path, *place)
    task = new_task(tiny_bert, METHODS[name]())
    resume = kft.Resume(tmp_path, save_steps=2)
    resumed = fitted(task, [resume])
    assert resume.resumed_from == 16  # Snapshots after even steps; 17 were taken.
    assert same_bits(task, whole)
    assert resumed.history == history

    again = new_task(tiny_bert, METHODS[name]())
    finished = fitted(again, [kft.Resume(tmp_path)])
    assert same_bits(again, whole) and finished.history == history


def test_a_shuffled_dataset_of_the_user_goes_on_where_it_was(tiny_bert, tmp_path):
    def data(task):
        encoded = task.dataset(rows(), 1).unbatch()
        shuffled = encoded.shuffle(22, seed=5, reshuffle_each_iteration=True)
        return shuffled.padded_batch(4).apply(
            tf.data.experimental.assert_cardinality(6)
        )

    whole = new_task(tiny_bert)
    fitted(whole, [], data=data(whole))
    killed = new_task(tiny_bert)
    end_at(killed, tmp_path, 1, 3, data=data(killed))
    task = new_task(tiny_bert)
    resume = kft.Resume(tmp_path)
    fitted(task, [resume], data=data(task))
    assert resume.resumed_from == 8
    assert same_bits(task, whole)


def test_a_plain_keras_model_goes_on_too(tmp_path):
    x = np.random.default_rng(0).normal(size=(24, 3)).astype("float32")
    data = tf.data.Dataset.from_tensor_slices((x, x.sum(1))).batch(4)

    def run(*callbacks):
        keras.utils.set_random_seed(0)
        layers = [keras.layers.Dense(4), keras.layers.Dropout(0.3)]
        model = keras.Sequential([*layers, keras.layers.Dense(1)])
        model.build((None, 3))
        model.compile("adam", "mse", metrics=["mae"])
        given = list(callbacks)
        model.fit(data, epochs=3, verbose=0, shuffle=False, callbacks=given)
        return model

    whole = run()
    with pytest.raises(Ended):
        run(EndAt(1, 4), kft.Resume(tmp_path, save_steps=1))
    resume = kft.Resume(tmp_path, save_steps=1)
    assert same_bits(run(resume), whole)
    assert resume.resumed_from == 9


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_takes_a_snapshot_and_ends_the_fit(tiny_bert, tmp_path, number):
    before = signal.getsignal(number)
    resume = kft.Resume(tmp_path)
    send = EndAt(1, 3, end=lambda: signal.raise_signal(number))
    expected = KeyboardInterrupt if number == signal.SIGINT else SystemExit
    with pytest.raises(expected) as caught:
        fitted(new_task(tiny_bert), [resume, send])
    if number == signal.SIGTERM:
        assert caught.value.code == 143
    assert signal.getsignal(number) is before
    assert snapshot.newest(tmp_path)[0].state["place"] == [1, 3]


def test_changes_are_listed_and_refused_or_allowed(tiny_bert, tmp_path):
    end_at(new_task(tiny_bert), tmp_path, 1, 0)
    task = new_task(tiny_bert)
    changes = {"data": task.dataset(rows(20), 5, training=True, seed=3), "rate": 5e-3}
    with pytest.raises(SettingsError) as caught:
        fitted(task, [kft.Resume(tmp_path)], **changes)
    told = str(caught.value)
    for words in (
        "data (examples): was 22, is 20",
        "data (plan.batch_size): was 4, is 5",
        "data (examples.ids): was",
        "data (labels): was",
        "settings (learning_rate.peak): was 0.001, is 0.005",
    ):
        assert words in told, told
    with pytest.warns(UserWarning, match="since this snapshot was taken"):
        fitted(task, [kft.Resume(tmp_path, allow_changes=True)], **changes)


def test_another_model_is_refused_whole(tiny_bert, tmp_path):
    end_at(new_task(tiny_bert, kft.LoRA(rank=2)), tmp_path, 0, 3)
    task = new_task(tiny_bert, kft.LoRA(rank=3))
    with (
        pytest.warns(UserWarning, match=r"\(adapter\): was LoRA"),
        pytest.raises(CheckpointError, match=r"shape \(32, 2\) in the snapshot"),
    ):
        fitted(task, [kft.Resume(tmp_path, allow_changes=True)])


def test_a_damaged_snapshot_is_told_and_the_one_before_is_used(tiny_bert, tmp_path):
    end_at(new_task(tiny_bert), tmp_path, 1, 1)
    last = snapshot.all_in(tmp_path)[-1] / "model.safetensors"
    content = bytearray(last.read_bytes())
    content[-9] ^= 1
    last.write_bytes(content)
    resume = kft.Resume(tmp_path)
    with pytest.warns(UserWarning, match="damaged. An earlier snapshot is used"):
        fitted(new_task(tiny_bert), [resume])
    assert resume.resumed_from == 4


def test_where_no_snapshot_is_intact_nothing_is_begun_or_lost(tiny_bert, tmp_path):
    end_at(new_task(tiny_bert), tmp_path, 1, 1)
    paths = snapshot.all_in(tmp_path)
    for path in paths:
        (path / "model.safetensors").write_bytes(b"cut")
    with pytest.raises(CheckpointError, match="no snapshot of this fit is intact") as e:
        fitted(new_task(tiny_bert), [kft.Resume(tmp_path)])
    assert all(path.name in str(e.value) for path in paths)
    assert snapshot.all_in(tmp_path) == paths


def test_a_full_disk_is_told_and_does_not_end_the_fit(tiny_bert, tmp_path, monkeypatch):
    def full(*args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(snapshot, "write", full)
    with pytest.warns(UserWarning, match="No space left.*training goes on"):
        history = fitted(new_task(tiny_bert), [kft.Resume(tmp_path, save_steps=9)])
    assert len(history.history["loss"]) == 3


def test_one_process_at_a_time(tiny_bert, tmp_path):
    program = (
        "import sys, time; from pathlib import Path\n"
        "from kerasft.training.run_lock import RunLock\n"
        f"lock = RunLock(Path({str(tmp_path)!r})); print(1, flush=True); time.sleep(99)"
    )
    command = [sys.executable, "-c", program]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as other:
        other.stdout.readline()
        try:
            with pytest.raises(
                SettingsError, match=f"process {other.pid} on .* trains"
            ):
                fitted(new_task(tiny_bert), [kft.Resume(tmp_path)])
        finally:
            other.kill()
    fitted(new_task(tiny_bert), [kft.Resume(tmp_path)], epochs=1)  # No stale lock.


def test_numbers_out_of_bounds_are_refused(tmp_path):
    with pytest.raises(SettingsError, match="save_steps is 0, keep is -1"):
        kft.Resume(tmp_path, save_steps=0, keep=-1)


@pytest.mark.slow
def test_on_jax_it_ends_with_the_same_bits_too():
    pytest.importorskip("jax")
    name = "test_a_fit_that_is_killed_three_times_ends_with_the_same_bits[lora]"
    environment = os.environ | {"KERAS_BACKEND": "jax", "JAX_PLATFORMS": "cpu"}
    program = [sys.executable, "-m", "pytest", f"{__file__}::{name}"]
    subprocess.run(program, env=environment, check=True)
