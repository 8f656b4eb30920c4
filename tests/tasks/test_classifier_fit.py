"""What `compile` and `fit` take: schedules, callbacks, arrays, precision, XLA."""

import keras
import numpy as np
import pytest
from tiny_classifiers import (
    EAGER,
    made,
    recipe,
    rows_for,
    weights_of,
)
from tiny_tasks import LABELS

import kerasft as kft
from kerasft._errors import SettingsError


class Rates(keras.callbacks.Callback):
    """The learning rate of each step."""

    def __init__(self):
        super().__init__()
        self.rates = []

    def on_train_batch_begin(self, batch, logs=None):
        self.rates.append(float(self.model.optimizer.learning_rate))


def test_the_schedule_is_filled_in_and_a_second_fit_starts_anew(task):
    task.compile(kft.adamw(1e-3, warmup=0), **EAGER)
    data = task.dataset(rows_for(), 11, training=True)
    for fit in (1, 2):
        note = Rates()
        task.fit(data, epochs=2, callbacks=[note], verbose=0)
        assert note.rates == pytest.approx([1e-3, 7.5e-4, 5e-4, 2.5e-4])
        assert float(task.optimizer.learning_rate) == 0
        assert int(task.optimizer.iterations) == 4 * fit


def test_a_schedule_over_data_without_a_length_is_refused(task):
    task.compile()
    data = (batch for batch in task.dataset(rows_for(), 11, training=True))
    with pytest.raises(SettingsError, match="steps_per_epoch"):
        task.fit(data)


def test_plain_keras_callbacks_work(task, tmp_path):
    path = str(tmp_path / "best.weights.h5")
    task.compile(recipe(learning_rate=0.3), **EAGER)
    data = task.dataset(rows_for(), 21, training=True)
    valid = task.dataset(rows_for(), 21)
    callbacks = [
        keras.callbacks.EarlyStopping("val_loss", 0, 1, restore_best_weights=True),
        keras.callbacks.ModelCheckpoint(
            path, "val_loss", save_best_only=True, save_weights_only=True
        ),
    ]
    options = {"validation_data": valid, "epochs": 9, "callbacks": callbacks}
    history = task.fit(data, verbose=0, **options).history
    best = min(history["val_loss"])
    assert history["val_loss"][-1] > best
    for restore in (lambda: None, lambda: task.load_weights(path)):
        restore()
        told = task.evaluate(valid, return_dict=True, verbose=0)
        assert told["loss"] == pytest.approx(best, rel=1e-5)


def test_arrays_train_as_batches_of_rows_do(folder):
    ends = []
    for as_arrays in (True, False):
        task = made(folder)
        task.compile(recipe(), **EAGER)
        data = task.dataset(rows_for(), batch_size=21)
        if as_arrays:
            ((inputs, labels),) = data
            arrays = {name: np.asarray(value) for name, value in inputs.items()}
            task.fit(
                arrays, np.asarray(labels), batch_size=21, shuffle=False, verbose=0
            )
        else:
            task.fit(data, verbose=0)
        ends.append(weights_of(task))
    for one, other in zip(*(end.values() for end in ends), strict=True):
        np.testing.assert_array_equal(one, other)


def test_the_same_seed_gives_the_same_bits(folder):
    ends = []
    for _ in range(2):
        task = made(folder)
        task.compile(recipe(), **EAGER)
        data = task.dataset(rows_for(), 6, training=True, seed=3)
        losses = task.fit(data, epochs=2, verbose=0).history["loss"]
        ends.append((losses, *(value.tobytes() for value in weights_of(task).values())))
    assert ends[0] == ends[1]


@pytest.mark.parametrize(
    "options",
    [{"jit_compile": True}, {"steps_per_execution": 2}, {"micro_batches": 4, **EAGER}],
    ids=str,
)
def test_keras_options_of_compile_change_nothing(folder, options):
    still = {"problem": "single_label", "labels": LABELS}
    ends = []
    for choice in (EAGER, options):
        task = made(folder, **still)
        for layer in task._flatten_layers():
            if isinstance(layer, keras.layers.Dropout):
                layer.rate = 0.0
        task.compile(keras.optimizers.SGD(0.1), **choice)
        task.fit(task.dataset(rows_for(), 6), verbose=0)
        ends.append(weights_of(task))
    for path, one in ends[0].items():
        if "seed" not in path:
            np.testing.assert_allclose(ends[1][path], one, atol=1e-5)


@pytest.mark.parametrize("precision", ["mixed_bfloat16", "mixed_float16"])
def test_mixed_precision_trains_close_to_full_precision(folder, precision):
    losses = []
    for kind in ("float32", precision):
        task = made(folder, precision=kind)
        task.compile(recipe(learning_rate=1e-3), **EAGER)
        data = task.dataset(rows_for(), 11, training=True)
        losses += task.fit(data, verbose=0).history["loss"]
    assert losses[1] == pytest.approx(losses[0], abs=0.05)
    assert {weight.dtype for weight in task.trainable_weights} == {"float32"}
    assert task.backbone.compute_dtype == precision.removeprefix("mixed_")
    assert task.predict_rows(rows_for()).dtype == "float32"
    scaled = isinstance(task.optimizer, keras.optimizers.LossScaleOptimizer)
    assert scaled == (precision == "mixed_float16")
    assert keras.config.dtype_policy().name == "float32"


@pytest.mark.parametrize(
    "options, message",
    [
        ({"class_weight": {0: 1.0}}, "by label name"),
        ({"validation_split": 0.1}, "split the rows"),
    ],
)
def test_what_the_exact_step_cannot_honour_is_refused_by_fit(task, options, message):
    task.compile()
    with pytest.raises(SettingsError, match=message):
        task.fit(task.dataset(rows_for()), **options)


@pytest.mark.parametrize(
    "options, message",
    [
        ({"loss_weights": [2.0]}, "one output"),
        ({"weighted_metrics": ["mse"]}, "rows' weights"),
        ({"micro_batches": 0}, "at least 1"),
        ({"loss": ["mse", "mse"]}, "give one loss"),
    ],
)
def test_what_the_exact_step_cannot_honour_is_refused_by_compile(
    task, options, message
):
    with pytest.raises(SettingsError, match=message):
        task.compile(**options)


@pytest.mark.skipif(
    keras.backend.backend() != "tensorflow", reason="others trace each shape"
)
def test_the_step_is_traced_once(folder):
    task = made(folder)
    task.compile(recipe())
    traced = []
    task.item_loss.call = lambda *both, call=task.item_loss.call: (
        traced.append(1) or call(*both)
    )
    task.fit(task.dataset(rows_for("single_label"), 11, training=True), verbose=0)
    assert len(traced) == 1


@pytest.mark.parametrize("method", ["fit", "evaluate", "predict"])
def test_rows_that_are_no_batches_are_refused(task, method):
    task.compile(recipe())
    with pytest.raises(kft.KerasftError, match=r"task.dataset\(rows, batch_size\)"):
        getattr(task, method)(rows_for("single_label"))
