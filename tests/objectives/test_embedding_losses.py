"""Losses and metrics of embedders where a batch holds nearly nothing."""

import numpy as np
import pytest
from tensorflow_or_skip import tf

from kerasft.objectives import embedding_metrics
from kerasft.objectives.embedding_losses import EMBEDDING_LOSSES

COLUMNS = {"triplet": 3, "classes": 1}
METRICS = {
    embedding_metrics.RetrievalAccuracy: 2,
    embedding_metrics.TripletAccuracy: 3,
    embedding_metrics.NeighbourAccuracy: 1,
    embedding_metrics.CosinePearson: 2,
}


@pytest.mark.parametrize("jit", [False, True])
@pytest.mark.parametrize("rows", [0, 1])
@pytest.mark.parametrize("name", EMBEDDING_LOSSES)
def test_a_device_with_no_row_or_one_has_a_finite_loss_and_slope(name, rows, jit):
    loss = EMBEDDING_LOSSES[name]()
    labels = tf.zeros((rows,), "float32" if loss.scored else "int32")
    vectors = tf.random.normal((rows, COLUMNS.get(name, 2), 4), seed=1)

    @tf.function(jit_compile=jit)
    def both(labels, vectors):
        with tf.GradientTape() as tape:
            tape.watch(vectors)
            values = loss.call(labels, vectors) * loss.item_weights(labels)
            total = tf.reduce_sum(values)
        return total, tape.gradient(total, vectors)

    total, gradient = both(labels, vectors)
    assert np.isfinite(total) and np.isfinite(gradient).all()
    assert rows or total == 0


@pytest.mark.parametrize("kind", METRICS)
def test_a_device_with_no_row_adds_nothing_to_a_metric(kind):
    metric, empty = kind(), kind()
    labels = tf.constant([1, 0, 1, 0])
    vectors = tf.random.normal((4, METRICS[kind], 4), seed=1)
    metric.update_state(labels, vectors)
    empty.update_state(labels[:0], vectors[:0])
    assert float(empty.result()) == 0
    before = float(metric.result())
    metric.update_state(labels[:0], vectors[:0])
    assert float(metric.result()) == before


def test_weights_of_rows_count_in_a_metric():
    metric = embedding_metrics.TripletAccuracy()
    near, far = [1.0, 0.0], [0.0, 1.0]
    vectors = tf.constant([[near, near, far], [near, far, near]])
    metric.update_state(tf.zeros(2), vectors, sample_weight=tf.constant([3.0, 1.0]))
    assert float(metric.result()) == pytest.approx(0.75)
