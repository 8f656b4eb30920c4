"""Metrics of classification and regression, equal to scikit-learn's and SciPy's.

All keep sums that add up over batches and replicas; logits go in, not probabilities.
Class labels of -100 do not count.
"""

import keras
from keras import ops

from kerasft.objectives.losses import (
    IGNORED,
    CrossEntropy,
    expand_to,
    told_and_true,
)


class Accuracy(keras.metrics.Mean):
    """Share of items whose best class is the label."""

    def __init__(self, name="accuracy"):
        super().__init__(name=name)

    def update_state(self, y_true, y_pred, sample_weight=None):
        """Labels (...), logits (..., classes)."""
        best = ops.argmax(y_pred, axis=-1)
        right = ops.cast(ops.equal(ops.cast(y_true, best.dtype), best), "float32")
        weights = ops.cast(ops.greater_equal(y_true, 0), "float32")
        if sample_weight is not None:
            weights = weights * expand_to(sample_weight, weights)
        return super().update_state(*_flat(right, weights))


class Perplexity(keras.metrics.Mean):
    """How many classes would be as hard to guess among: e to the mean cross-entropy."""

    def __init__(self, name="perplexity"):
        super().__init__(name=name)
        self.cross_entropy = CrossEntropy()

    def update_state(self, y_true, y_pred, sample_weight=None):
        """Labels (...), logits (..., classes)."""
        weights = self.cross_entropy.item_weights(y_true)
        if sample_weight is not None:
            weights = weights * expand_to(sample_weight, weights)
        values = self.cross_entropy.call(y_true, y_pred)
        return super().update_state(*_flat(values, weights))

    def result(self):
        """At least 1."""
        return ops.exp(super().result())


class MeanSum(keras.metrics.Metric):
    """The sum of several means, each over weights of its own.

    Args:
        names: of the parts.
    """

    def __init__(self, names, name="loss"):
        super().__init__(name=name)
        self.names = tuple(names)
        # Named as those of `keras.metrics.Mean`, so that who looks on may read both.
        self.total = self.add_weight((len(self.names),), "zeros", name="total")
        self.count = self.add_weight((len(self.names),), "zeros", name="count")

    def update_state(self, sums, weights):
        """Name -> sum of values times weights, and sum of weights."""
        self.total.assign_add(ops.stack([sums[name] for name in self.names]))
        self.count.assign_add(ops.stack([weights[name] for name in self.names]))

    def result(self):
        """Sum of the means."""
        return ops.sum(ops.divide_no_nan(self.total + 0.0, self.count + 0.0))


class _CountsF1(keras.metrics.Metric):
    """F1 from counts of true positives, predicted and actual items for each class."""

    def __init__(self, num_classes, average, name):
        super().__init__(name=name)
        self.average = average
        self.hits = self.add_weight((num_classes,), "zeros", name="hits")
        self.predicted = self.add_weight((num_classes,), "zeros", name="predicted")
        self.actual = self.add_weight((num_classes,), "zeros", name="actual")

    def add(self, actual, predicted, sample_weight):
        """Count two 0/1 arrays (items, classes)."""
        if sample_weight is not None:
            weight = expand_to(sample_weight, actual)
            actual, predicted = actual * weight, predicted * weight
            hits = actual * ops.cast(predicted > 0, "float32")
        else:
            hits = actual * predicted
        self.hits.assign_add(ops.sum(hits, axis=0))
        self.predicted.assign_add(ops.sum(predicted, axis=0))
        self.actual.assign_add(ops.sum(actual, axis=0))

    def result(self):
        """F1, 0 to 1; a class that is neither there nor predicted does not count."""
        hits, both = self.hits + 0.0, self.predicted + self.actual
        if self.average == "micro":
            hits, both = ops.sum(hits), ops.sum(both)
        f1 = 2 * hits / ops.maximum(both, 1e-9)
        if self.average == "micro":
            return f1
        seen = ops.cast(both > 0, "float32")
        return ops.sum(f1 * seen) / ops.maximum(ops.sum(seen), 1.0)


class F1(_CountsF1):
    """Mean F1 over the classes ("macro"), one label an item.

    Args:
        num_classes: number of labels.
    """

    def __init__(self, num_classes, name="f1"):
        super().__init__(num_classes, "macro", name)

    def update_state(self, y_true, y_pred, sample_weight=None):
        """Labels (...) integers, logits (..., classes)."""
        classes = self.hits.shape[0]
        weights = ops.cast(ops.greater_equal(y_true, 0), "float32")
        if sample_weight is not None:
            weights = weights * expand_to(sample_weight, weights)
        labels = ops.reshape(ops.cast(y_true, "int32"), (-1,))
        best = ops.reshape(ops.argmax(y_pred, axis=-1), (-1,))
        actual = ops.one_hot(labels, classes, dtype="float32")
        predicted = ops.one_hot(best, classes, dtype="float32")
        self.add(actual, predicted, ops.reshape(weights, (-1,)))


class MultiLabelF1(_CountsF1):
    """F1 over many labels an item, a label predicted where its logit is above 0.

    Args:
        num_classes: number of labels.
        average: "micro" or "macro".
    """

    def __init__(self, num_classes, average, name):
        super().__init__(num_classes, average, name)

    def update_state(self, y_true, y_pred, sample_weight=None):
        """Labels (batch, classes) of 0 and 1, logits (batch, classes)."""
        y_true = ops.cast(y_true, "float32")
        scored = ops.cast(ops.not_equal(y_true, IGNORED), "float32")
        predicted = ops.cast(y_pred > 0, "float32")
        self.add(y_true * scored, predicted * scored, sample_weight)


class ReplacedF1(_CountsF1):
    """F1 of the tokens that stand where another stood."""

    def __init__(self, name="f1"):
        super().__init__(1, "micro", name)

    def update_state(self, y_true, y_pred, sample_weight=None):
        """Labels and outputs as of `losses.ReplacedTokens`."""
        weights = ops.cast(ops.not_equal(y_true, IGNORED), "float32")
        if sample_weight is not None:
            weights = weights * expand_to(sample_weight, weights)
        logits, replaced = told_and_true(y_true, y_pred)
        predicted = ops.cast(logits > 0, "float32")
        columns = (ops.reshape(t, (-1, 1)) for t in (replaced, predicted))
        self.add(*columns, ops.reshape(weights, (-1,)))


class AbsoluteError(keras.metrics.Mean):
    """Mean distance to the target."""

    def __init__(self, name="mae"):
        super().__init__(name=name)

    def update_state(self, y_true, y_pred, sample_weight=None):
        """Targets (batch,) or (batch, numbers), predictions of as many numbers."""
        y_true = ops.cast(y_true, "float32")
        distance = ops.absolute(y_true - ops.reshape(y_pred, ops.shape(y_true)))
        if sample_weight is not None:
            sample_weight = expand_to(sample_weight, distance)
            sample_weight = sample_weight * ops.ones_like(distance)
        return super().update_state(distance, sample_weight=sample_weight)


class Pearson(keras.metrics.Metric):
    """Correlation of predictions and targets, all numbers of a row taken alike.

    Targets with a large mean and a small spread would drown in rounding. So the sums
    are float64; on JAX, which has none, they are of distances from the first batch's
    means.
    """

    def __init__(self, name="pearson"):
        super().__init__(name=name)
        self.near = keras.backend.backend() == "jax"
        kind = "float32" if self.near else "float64"
        self.sums = self.add_weight((6,), "zeros", dtype=kind, name="sums")
        if self.near:
            self.origin = self.add_weight((2,), "zeros", name="origin")

    def update_state(self, y_true, y_pred, sample_weight=None):
        """Targets (batch,) or (batch, numbers), predictions of as many numbers."""
        x = ops.cast(y_true, "float32")
        w = ops.ones_like(x)
        if sample_weight is not None:
            w = w * expand_to(sample_weight, x)
        kind = self.sums.dtype
        w, x, y = (ops.cast(ops.reshape(t, (-1,)), kind) for t in (w, x, y_pred))
        if self.near:
            x, y = self._from_origin(w, x, y)
        terms = [w, w * x, w * y, w * x * x, w * y * y, w * x * y]
        self.sums.assign_add(ops.stack([ops.sum(term) for term in terms]))

    def _from_origin(self, w, x, y):
        """Both less the means of the first batch that had any."""
        count = ops.maximum(ops.sum(w), 1e-9)
        means = ops.stack([ops.sum(w * x) / count, ops.sum(w * y) / count])
        origin = ops.where(self.sums[0] > 0, self.origin + 0.0, means)
        self.origin.assign(origin)
        return x - origin[0], y - origin[1]

    def result(self):
        """-1 to 1; 0 while either side has no spread."""
        n, x, y, xx, yy, xy = (self.sums[i] for i in range(6))
        n = ops.maximum(n, 1.0)
        root = ops.sqrt(ops.maximum((xx - x * x / n) * (yy - y * y / n), 0.0))
        ratio = (xy - x * y / n) / ops.maximum(root, 1e-12)
        return ops.cast(ops.where(root > 1e-12, ratio, 0.0), "float32")


def _flat(values, weights):
    """Both (items,), for Keras would take means over rows first."""
    return ops.reshape(values, (-1,)), ops.reshape(weights, (-1,))
