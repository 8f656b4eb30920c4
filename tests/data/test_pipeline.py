"""Batches as tensors: what the reference's tokenizer pads, in a repeatable order."""

from types import SimpleNamespace

import keras
import numpy as np
import pytest
import tensorflow as tf
import transformers
from tiny_tasks import LABELS, save_tiny_bert, tiny_rows

import kerasft as kft
from kerasft._errors import DataError, SettingsError
from kerasft.data.batching import BatchPlan


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return save_tiny_bert(tmp_path_factory.mktemp("tiny"), num_layers=1)


@pytest.fixture(scope="module")
def task(folder):
    return kft.TextClassifier.from_pretrained(folder, labels=LABELS)


def listed(dataset):
    """Nested lists of every batch, which can be compared."""
    return [
        tf.nest.map_structure(lambda t: t.numpy().tolist(), batch) for batch in dataset
    ]


@pytest.mark.parametrize("paired", [False, True])
def test_batches_equal_what_the_reference_pads(folder, task, paired):
    reference = transformers.AutoTokenizer.from_pretrained(folder)
    texts = tiny_rows().texts()
    pairs = texts[::-1] if paired else None
    rows = kft.from_lists(texts, text_pairs=pairs)
    for step, inputs in enumerate(task.dataset(rows, batch_size=10)):
        part = slice(10 * step, 10 * step + 10)
        given = (texts[part], pairs[part]) if paired else (texts[part],)
        expected = reference(*given, truncation=True, max_length=40)
        expected = reference.pad(
            expected, "max_length", inputs["input_ids"].shape[1], return_tensors="np"
        )
        assert set(inputs) == set(expected if paired else ["input_ids"]) | {
            "attention_mask"
        }
        for name, tensor in inputs.items():
            np.testing.assert_array_equal(tensor, expected[name])
            assert tensor.dtype == tf.int32


def test_tf_data_gives_the_batches_made_directly(task):
    dataset = task.dataset(tiny_rows(), batch_size=8, training=True, seed=4)
    batches = dataset.batches
    order = batches.plan.order(0)
    directly = [batches._batch(order, step) for step in range(len(batches))]
    directly = tf.nest.map_structure(np.ndarray.tolist, directly)
    assert listed(dataset) == directly
    assert len(dataset) == len(directly) == 6


def test_labels_and_weights_follow_their_rows(task):
    rows = tiny_rows()
    weights = np.arange(len(rows), dtype="float32")
    dataset = task.dataset(rows, batch_size=8, training=True, weights=weights)
    numbers = rows.label_array(LABELS)
    encoded = task.tokenizer.encode(rows.texts())
    ends = np.cumsum(encoded.lengths)
    for inputs, labels, weight in dataset:
        places = weight.numpy().astype(int)
        np.testing.assert_array_equal(labels, numbers[places])
        for ids, mask, place in zip(
            inputs["input_ids"].numpy(), inputs["attention_mask"], places, strict=True
        ):
            expected = encoded.ids[ends[place] - encoded.lengths[place] : ends[place]]
            np.testing.assert_array_equal(ids[mask == 1], expected)


@pytest.mark.parametrize("step", [0, 3, 5])
def test_beginning_at_a_step_gives_the_rest_of_the_same_epoch(task, step):
    dataset = task.dataset(tiny_rows(), batch_size=8, training=True)
    dataset.batches.epoch = 2
    whole = listed(dataset)
    dataset.batches.epoch = 2
    rest = dataset.batches.dataset(first_step=step)
    assert listed(rest) == whole[step:]
    assert len(rest) == len(whole) - step


def test_each_pass_is_a_new_epoch_and_can_be_repeated(task):
    dataset = task.dataset(tiny_rows(), batch_size=8, training=True)
    first, second = listed(dataset), listed(dataset)
    assert first != second
    dataset.batches.epoch = 0
    assert listed(dataset) == first
    again = task.dataset(tiny_rows(), batch_size=8, training=True)
    assert listed(again) == first


def test_without_training_the_order_is_that_of_the_rows(task):
    rows = tiny_rows()
    labels = [label for _, part in listed(task.dataset(rows, 8)) for label in part]
    assert labels == rows.label_array(LABELS).tolist()


def test_fit_takes_the_epoch_from_keras(task, monkeypatch):
    dataset = task.dataset(tiny_rows(20), batch_size=8, training=True)
    seen, order = [], BatchPlan.order

    def spy(plan, epoch):
        seen.append(epoch)
        return order(plan, epoch)

    monkeypatch.setattr(BatchPlan, "order", spy)
    task.compile(run_eagerly=True)
    task.fit(dataset, epochs=2, verbose=0)
    task.fit(dataset, epochs=2, verbose=0)
    task.fit(dataset, epochs=5, initial_epoch=3, verbose=0)
    assert seen == [0, 1, 0, 1, 3, 4]


def users_dataset(low=5, high=101, rows=12, extra=()):
    ids = np.random.default_rng(0).integers(low, high, (rows, 6)).astype("int32")
    ids[rows // 2, 2:][: len(extra)] = extra
    inputs = {"input_ids": ids, "attention_mask": np.ones_like(ids)}
    labels = np.arange(rows, dtype="int32") % 3
    return tf.data.Dataset.from_tensor_slices((inputs, labels)).batch(4)


def test_no_dataset_is_autotuned(task):
    for dataset in (
        task.dataset(tiny_rows(), training=True),
        task.dataset(tiny_rows()),
        users_dataset(),
        users_dataset().map(lambda inputs, labels: inputs),
    ):
        assert task._prepared(dataset).options().autotune.enabled is False


def test_fit_evaluate_and_predict_prepare_what_they_are_given(task, monkeypatch):
    prepared = []
    whole = kft.TextClassifier._prepared

    def spy(self, data):
        prepared.append(data)
        return whole(self, data)

    monkeypatch.setattr(kft.TextClassifier, "_prepared", spy)
    train, valid, test, asked = (users_dataset(rows=4) for _ in range(4))
    task.compile(run_eagerly=True)
    task.fit(train, validation_data=valid, verbose=0)
    task.evaluate(test, verbose=0)
    task.predict(asked.map(lambda inputs, labels: inputs), verbose=0)
    assert all(any(data is p for p in prepared) for data in (train, valid, test))
    assert len(prepared) >= 4


MODES = {
    "eager": {"run_eagerly": True},
    "graph": {"jit_compile": False},
    "xla": {"jit_compile": True},
}


@pytest.mark.parametrize("mode", MODES)
def test_ids_out_of_range_are_refused_in_every_mode(task, mode):
    task.compile(keras.optimizers.SGD(), **MODES[mode])
    message = "input_ids must be 0 to 100"
    for wrong in (-1, 101, 2**31 - 1):
        dataset = users_dataset(extra=(wrong,))
        with pytest.raises(tf.errors.InvalidArgumentError, match=message):
            task.fit(dataset, verbose=0)
        with pytest.raises(tf.errors.InvalidArgumentError, match=message):
            task.predict(dataset.map(lambda inputs, labels: inputs), verbose=0)


@pytest.mark.parametrize("wrong", [-1, 101])
def test_ids_out_of_range_in_arrays_are_refused(task, wrong):
    task.compile(jit_compile=True)
    ids = np.full((4, 6), 7, "int32")
    ids[2, 3] = wrong
    inputs, labels = {"input_ids": ids, "attention_mask": ids * 0 + 1}, np.zeros(4)
    good = {name: np.ones_like(value) for name, value in inputs.items()}
    with pytest.raises(DataError, match="input_ids must be 0 to 100"):
        task.fit(inputs, labels, verbose=0)
    with pytest.raises(DataError, match="input_ids must be 0 to 100"):
        task.fit(good, labels, validation_data=(inputs, labels), verbose=0)
    with pytest.raises(DataError, match="input_ids must be 0 to 100"):
        task.predict(inputs, verbose=0)


def test_rows_to_train_on_need_labels(task):
    rows = kft.from_lists(["a good film"])
    with pytest.raises(SettingsError, match="need labels"):
        task.dataset(rows, training=True)
    assert len(task.dataset(rows)) == 1


@pytest.mark.parametrize("weights", [np.ones(3), [1.0, -1.0], np.ones((2, 1))])
def test_weights_that_do_not_fit_the_rows_are_refused(task, weights):
    with pytest.raises(DataError, match="one weight of at least 0"):
        task.dataset(tiny_rows(2), weights=weights)


@pytest.mark.parametrize("kinds, lengths", [(["CPU"], 64), (["CPU", "GPU"], 16)])
def test_lengths_are_as_fine_as_the_machine_allows(kinds, lengths, task, monkeypatch):
    found = [SimpleNamespace(device_type=kind) for kind in kinds]
    monkeypatch.setattr(tf.config, "list_logical_devices", lambda *kind: found)
    assert task.dataset(tiny_rows()).batches.plan.max_shapes == lengths
