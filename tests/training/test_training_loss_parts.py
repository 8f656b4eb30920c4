"""What looks on at a fit understands a loss of several parts."""

import keras
import numpy as np
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.util.tensor_util import make_ndarray
from tiny_tasks import tiny_documents

import kerasft as kft
from kerasft.training.callbacks import LossNotFiniteError, StopOnNaN

ROWS = tiny_documents(12)


@pytest.fixture
def pairs(tiny_bert):
    """A task of hidden tokens and pairs, compiled, and its batches."""
    keras.utils.set_random_seed(0)
    task = kft.Pretraining.from_pretrained(tiny_bert, max_length=24)
    task.compile(keras.optimizers.SGD(0.01), run_eagerly=True)
    return task, task.dataset(ROWS, 4, training=True, max_shapes=1)


def test_the_loss_of_all_steps_is_that_of_the_epoch(pairs, tmp_path):
    task, batches = pairs
    board = kft.TensorBoard(tmp_path, update_freq=100, validation=ROWS)
    history = task.fit(batches, callbacks=[StopOnNaN(1), board], verbose=0).history
    events = EventAccumulator(str(tmp_path / "train"), {"tensors": 0}).Reload()
    (point,) = events.Tensors("step/loss")
    assert make_ndarray(point.tensor_proto) == pytest.approx(history["loss"][0])
    told = EventAccumulator(str(tmp_path / "validation"), {"tensors": 0}).Reload()
    (table,) = told.Tensors("report/table")
    assert "pair_accuracy" in str(make_ndarray(table.tensor_proto))


def test_a_part_that_is_not_finite_ends_the_run(pairs):
    task, batches = pairs
    for weight in task.head.weights:
        if "pair" in weight.path and weight.path.endswith("logits/bias"):
            weight.assign(np.full(weight.shape, np.nan))
    with pytest.raises(LossNotFiniteError, match="step 1 of epoch 1"):
        task.fit(batches, callbacks=[StopOnNaN(1)], verbose=0)


def test_the_direction_of_a_parts_metric_is_known(tmp_path):
    for monitor, sign in (("val_masked_perplexity", -1), ("val_pair_accuracy", 1)):
        assert kft.BestCheckpoint(tmp_path, monitor).sign == sign


def test_a_report_compiles_what_is_not_compiled(tiny_bert):
    task = kft.MaskedLM.from_pretrained(tiny_bert, max_length=24)
    found = kft.report_on(task, ROWS).metrics
    assert set(found) == {"loss", "accuracy", "perplexity"}
    assert found["perplexity"] == pytest.approx(np.exp(found["loss"]), rel=1e-5)
