"""Batches of one shape: who gets them, and what is refused."""

from types import SimpleNamespace

import keras
import numpy as np
import pytest
from tiny_tasks import LABELS, save_tiny_bert, tiny_pairs, tiny_rows

import kerasft as kft
from kerasft._errors import SettingsError


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return save_tiny_bert(tmp_path_factory.mktemp("bert"))


@pytest.fixture
def task(folder):
    keras.utils.set_random_seed(0)
    return kft.TextClassifier.from_pretrained(folder, labels=LABELS)


def test_the_dataset_tells_every_size(task):
    tf = pytest.importorskip("tensorflow")
    data = task.dataset(tiny_rows(11), 4, training=True, static_shapes=True)
    specs = tf.nest.flatten(data.element_spec)
    assert all(spec.shape.is_fully_defined() for spec in specs)
    assert {spec.shape[0] for spec in specs} == {4}


def test_rows_that_fill_up_weigh_nothing_and_the_others_what_they_did(task):
    weights = np.arange(11, dtype="float32")
    data = task.dataset(tiny_rows(11), 4, static_shapes=True, weights=weights)
    told = [np.asarray(weights) for _, _, weights in data]
    assert np.concatenate(told).tolist() == [*range(11), 0]


def test_a_dataset_smaller_than_a_batch_is_one_batch(task):
    data = task.dataset(tiny_rows(3), 8, static_shapes=True)
    ((_, labels, weights),) = list(data)
    assert np.asarray(labels)[3:].tolist() == [-100] * 5
    assert np.asarray(weights).tolist() == [1] * 3 + [0] * 5


def test_under_a_keras_loss_labels_are_repeated_for_it_knows_no_others(task):
    task.compile(loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    rows = tiny_rows(5)
    data = task.dataset(rows, 4, static_shapes=True)
    assert all((np.asarray(labels) >= 0).all() for _, labels, _ in data)
    plain = task.evaluate(task.dataset(rows, 4, max_shapes=1), verbose=0)
    assert task.evaluate(data, verbose=0) == pytest.approx(plain, rel=1e-6)


def test_a_strategy_for_tpus_gets_them_unasked(task, monkeypatch):
    tf = pytest.importorskip("tensorflow")
    if keras.backend.backend() != "tensorflow":
        pytest.skip("a strategy of TensorFlow's")
    rows = tiny_rows(11)
    plain = task.predict_rows(rows, 4)
    assert not task.needs_static_shapes
    tpu = object.__new__(tf.distribute.TPUStrategy)  # There is none to begin with.
    with monkeypatch.context() as patch:
        patch.setattr(type(task), "distribute_strategy", tpu)
        assert task.needs_static_shapes
    monkeypatch.setattr(type(task), "needs_static_shapes", True)
    assert {len(x["input_ids"]) for x, _, _ in task.dataset(rows, 4)} == {4}
    np.testing.assert_allclose(task.predict_rows(rows, 4), plain, atol=1e-6)


def test_rows_that_devices_cannot_share_are_refused(task, monkeypatch):
    eight = SimpleNamespace(num_replicas_in_sync=8)
    monkeypatch.setattr(type(task), "distribute_strategy", eight)
    with pytest.raises(SettingsError, match="12 rows here.* 8 devices.*divides by 8"):
        task.dataset(tiny_rows(20), 12, static_shapes=True)


def test_several_padded_lengths_are_refused(task):
    with pytest.raises(SettingsError, match="max_shapes is 4, but static_shapes"):
        task.dataset(tiny_rows(), max_shapes=4, static_shapes=True)


@pytest.mark.parametrize("loss", ["ranking", "symmetric_ranking"])
def test_rows_that_fill_up_are_nobodys_negatives(folder, loss):
    task = kft.TextEmbedder.from_pretrained(folder, pooling="mean")
    task.compile(loss=loss)
    rows = tiny_pairs(7)
    plain = task.evaluate(task.dataset(rows, 4, max_shapes=1), verbose=0)
    filled = task.evaluate(task.dataset(rows, 4, static_shapes=True), verbose=0)
    assert filled == pytest.approx(plain, rel=1e-5)


def test_a_killed_fit_goes_on_with_the_same_batches(task):
    data = task.dataset(tiny_rows(11), 4, training=True, static_shapes=True)
    whole = [np.asarray(x["input_ids"]) for x, _, _ in data]
    data.batches.epoch, data.batches.resume_at = 0, (0, 2)
    again = [np.asarray(x["input_ids"]) for x, _, _ in data]
    assert [ids.shape for ids in again] == [ids.shape for ids in whole]
    np.testing.assert_array_equal(again[2], whole[2])
