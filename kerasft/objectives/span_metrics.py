"""Precision, recall and F1 of entities, kept as counts while a model trains."""

import keras
from keras import ops

from kerasft.layers.last_place import last_place
from kerasft.objectives.losses import IGNORED

AVERAGES = ("micro", "macro", "weighted")


class EntityScores(keras.metrics.Metric):
    """Precision, recall and F1 of whole entities, equal to seqeval's.

    An entity is right if its type, first and last token are. Tokens labelled -100 are
    left out, and what stands on either side of them is joined.

    `result()` is a dict: precision, recall and f1. `by_type()` has them for each type.

    Args:
        tag_set: a `TagSet`.
        average: "micro" (all entities together), "macro" (mean over the types that
            occur, in labels or predictions) or "weighted" (by entities in the labels).
        prefix: put before the names in the result.
    """

    def __init__(self, tag_set, average="micro", prefix="", name="entity_scores"):
        super().__init__(name=name)
        self.tag_set, self.average, self.prefix = tag_set, average, prefix
        types = max(1, len(tag_set.types))
        self.hits, self.predicted, self.actual = (
            self.add_weight((types,), "zeros", name=name)
            for name in ("hits", "predicted", "actual")
        )

    def update_state(self, y_true, y_pred, sample_weight=None):
        """Count.

        Args:
            y_true: (batch, length) tag ids, -100 = left out.
            y_pred: (batch, length, tags) logits, or (batch, length) tag ids.
            sample_weight: ignored: an entity counts as one.
        """
        if len(y_pred.shape) == len(y_true.shape) + 1:
            y_pred = ops.argmax(y_pred, axis=-1)
        y_true = ops.cast(y_true, "int32")
        y_true, y_pred = _left_together(
            ops.not_equal(y_true, IGNORED),
            y_true,
            ops.cast(y_pred, "int32"),
            len(self.tag_set.names),
        )
        actual_ends, actual_begins, actual_types = entity_bounds(self.tag_set, y_true)
        ends, begins, types = entity_bounds(self.tag_set, y_pred)
        same = ops.logical_and(begins == actual_begins, types == actual_types)
        hits = ops.logical_and(ops.logical_and(ends, actual_ends), same)
        self.hits.assign_add(self._by_type(hits, types))
        self.predicted.assign_add(self._by_type(ends, types))
        self.actual.assign_add(self._by_type(actual_ends, actual_types))

    def _by_type(self, counted, types):
        classes = self.hits.shape[0]
        one_hot = ops.one_hot(types, classes, dtype="float32")
        return ops.sum(one_hot * ops.cast(counted, "float32")[..., None], axis=(0, 1))

    def by_type(self):
        """Precision, recall, F1 and number of labelled entities of each type."""
        columns = [*precision_recall_f1(*self._counts()), self.actual]
        columns = [ops.convert_to_numpy(column).tolist() for column in columns]
        names = ("precision", "recall", "f1", "support")
        return {
            kind: dict(zip(names, row, strict=True))
            for kind, *row in zip(self.tag_set.types, *columns, strict=False)
        }

    def _counts(self):
        return self.hits + 0.0, self.predicted + 0.0, self.actual + 0.0

    def result(self):
        """Precision, recall and F1, 0 to 1; 0 where there is nothing to divide by."""
        hits, predicted, actual = self._counts()
        if self.average == "micro":
            scores = precision_recall_f1(
                ops.sum(hits), ops.sum(predicted), ops.sum(actual)
            )
        else:
            share = actual
            if self.average == "macro":
                share = ops.cast(predicted + actual > 0, "float32")
            total = ops.sum(share)
            scores = [
                _divided(ops.sum(score * share), total)
                for score in precision_recall_f1(hits, predicted, actual)
            ]
        names = (f"{self.prefix}{name}" for name in ("precision", "recall", "f1"))
        return dict(zip(names, scores, strict=True))


def entity_bounds(tag_set, tags):
    """Whether an entity ended before each place, where it began, its type.

    Args:
        tag_set: a `TagSet`.
        tags: (batch, length) int32, nothing left out, filled up with the number of
            tags, which stands for the outside.

    Returns:
        Three (batch, length + 1): bool, int32, int32 (of `tag_set.types`).
    """
    outside = ops.full_like(tags[:, :1], len(tag_set.names))
    before = ops.concatenate([outside, tags], axis=1)
    pairs = before * (len(tag_set.names) + 1)
    pairs = pairs + ops.concatenate([tags, outside], axis=1)
    starts, inside, ends = (
        ops.take(ops.convert_to_tensor(table.reshape(-1)), pairs)
        for table in (tag_set.starts, tag_set.inside, tag_set.ends)
    )
    last_start = last_place(starts)
    # Within an entity after this place: it started, and nothing broke it since.
    last_break = last_place(ops.logical_not(inside))
    within = last_start >= ops.maximum(last_break, 0)
    before_it = _shifted(within, False)
    goes_on = ops.logical_and(before_it, inside)
    begins = last_place(ops.logical_and(starts, ops.logical_not(goes_on)))
    over = ops.logical_and(before_it, ops.logical_not(inside))
    types = ops.take(ops.convert_to_tensor(tag_set.type_of), before)
    return ops.logical_and(over, ends), _shifted(begins, -1), types


def _left_together(scored, y_true, y_pred, outside):
    """Both sequences without what is not scored, filled up at the end."""
    length = ops.shape(scored)[1]
    places = ops.arange(length, dtype="int32")
    order = ops.argsort(ops.where(scored, places, places + length), axis=1)
    kept = ops.take_along_axis(scored, order, axis=1)
    return [
        ops.where(kept, ops.take_along_axis(tags, order, axis=1), outside)
        for tags in (y_true, y_pred)
    ]


def _shifted(values, first):
    return ops.concatenate(
        [ops.full_like(values[:, :1], first), values[:, :-1]], axis=1
    )


def precision_recall_f1(hits, predicted, actual):
    """Three numbers, 0 to 1, of counts of one shape; 0 where there is none to count."""
    precision, recall = _divided(hits, predicted), _divided(hits, actual)
    return precision, recall, _divided(2 * hits, predicted + actual)


def _divided(above, below):
    return ops.where(below > 0, above / ops.maximum(below, 1e-9), 0.0)
