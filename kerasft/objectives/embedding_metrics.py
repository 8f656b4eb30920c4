"""Metrics of embedders, for vectors (batch, columns, width) of rows of several texts.

What needs all rows at once (rank correlation, retrieval among all of them) is in
`neighbours.py` and `rank_correlation`; these look at one batch, as the losses do.
"""

import keras
import numpy as np
from keras import ops

from kerasft.layers.text_pooling import unit
from kerasft.objectives.embedding_losses import there
from kerasft.objectives.losses import expand_to
from kerasft.objectives.metrics import Pearson
from kerasft.objectives.similarity import cosine, same_class


class _Share(keras.metrics.Mean):
    """Mean of what `found` gives for each row."""

    def update_state(self, y_true, y_pred, sample_weight=None):
        """Labels (batch,), vectors (batch, columns, width)."""
        right, weights = self.found(y_true, y_pred)
        if sample_weight is not None:
            weights = weights * expand_to(sample_weight, weights)
        return super().update_state(ops.cast(right, "float32"), sample_weight=weights)


class RetrievalAccuracy(_Share):
    """Share of first texts whose nearest text, of the batch's others, is their own."""

    def __init__(self, name="retrieval_accuracy"):
        super().__init__(name=name)

    def found(self, y_true, y_pred):
        """Whether each row is right, and its weight."""
        vectors = unit(y_pred)
        columns = [vectors[:, i] for i in range(1, y_pred.shape[1])]
        candidates = ops.concatenate(columns, axis=0)
        real = ops.tile(there(y_true), (len(columns),))
        closeness = ops.matmul(vectors[:, 0], ops.transpose(candidates))
        best = _largest(ops.where(real[None], closeness, -2.0))
        own = ops.arange(ops.shape(y_pred)[0], dtype=best.dtype)
        return ops.equal(best, own), ops.ones_like(vectors[:, 0, 0])


class TripletAccuracy(_Share):
    """Share of rows whose first text is nearer to the second than to the third."""

    def __init__(self, name="triplet_accuracy"):
        super().__init__(name=name)

    def found(self, y_true, y_pred):
        """Whether each row is right, and its weight."""
        near = cosine(y_pred[:, 0], y_pred[:, 1])
        return near > cosine(y_pred[:, 0], y_pred[:, 2]), ops.ones_like(near)


class NeighbourAccuracy(_Share):
    """Share of texts whose nearest other one of the batch is of their class.

    Texts whose class nobody else in the batch has do not count.
    """

    def __init__(self, name="neighbour_accuracy"):
        super().__init__(name=name)

    def found(self, y_true, y_pred):
        """Whether each row is right, and its weight."""
        vectors = unit(y_pred[:, 0])
        closeness = ops.matmul(vectors, ops.transpose(vectors))
        places = ops.arange(ops.shape(closeness)[0])
        itself = ops.equal(places[:, None], places[None])
        passed = ops.logical_or(itself, ops.logical_not(there(y_true))[None])
        best = _largest(ops.where(passed, -2.0, closeness))
        nearest = ops.take(y_true, best, axis=0)
        weights = ops.cast(ops.any(same_class(y_true), axis=-1), "float32")
        return ops.equal(nearest, y_true), weights


class CosinePearson(Pearson):
    """Correlation of the cosines of two texts with their scores."""

    def update_state(self, y_true, y_pred, sample_weight=None):
        """Scores (batch,), vectors (batch, 2, width)."""
        found = cosine(y_pred[:, 0], y_pred[:, 1])
        return super().update_state(y_true, found, sample_weight)


def _largest(cosines):
    """Place of the largest of each row; of no rows, none."""
    # One column more: there is no largest of nothing.
    return ops.argmax(ops.pad(cosines, ((0, 0), (0, 1)), constant_values=-2.0), -1)


def rank_correlation(one, other) -> float:
    """Spearman's correlation of two arrays (rows,), equal values sharing their rank.

    0 where either side has no spread.
    """
    return linear_correlation(_ranks(np.asarray(one)), _ranks(np.asarray(other)))


def linear_correlation(one, other) -> float:
    """Pearson's correlation of two arrays (rows,); 0 where a side has no spread."""
    one, other = (np.asarray(side, "float64") for side in (one, other))
    one, other = one - one.mean(), other - other.mean()
    length = np.sqrt((one @ one) * (other @ other))
    return float(one @ other / length) if length else 0.0


def _ranks(values):
    _, group, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    return (last - (counts - 1) / 2.0)[group]
