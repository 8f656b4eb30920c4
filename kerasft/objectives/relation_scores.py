"""Precision, recall and F1 of relations, where one class says that there is none."""

import keras
from keras import ops

from kerasft.objectives.losses import expand_to
from kerasft.objectives.span_metrics import precision_recall_f1


class RelationScores(keras.metrics.Metric):
    """Micro precision, recall and F1 over all classes but one.

    As the scorer of TACRED counts: a prediction is one that is not "no relation".

    Args:
        nothing: the class that says "no relation"; None: there is none, so all three
            are the accuracy.

    Source: Zhang et al. 2017, "Position-aware Attention" (EMNLP, D17-1004), section 5.
    """

    def __init__(self, nothing=None, name="relation_scores"):
        super().__init__(name=name)
        self.nothing = -1 if nothing is None else nothing
        self.counts = self.add_weight((3,), "zeros", name="counts")

    def update_state(self, y_true, y_pred, sample_weight=None):
        """Labels (batch,), logits (batch, classes)."""
        best = ops.cast(ops.argmax(y_pred, axis=-1), "int32")
        labels = ops.cast(y_true, "int32")
        predicted, actual = (
            ops.cast(ops.not_equal(x, self.nothing), "float32") for x in (best, labels)
        )
        hits = predicted * ops.cast(ops.equal(best, labels), "float32")
        if sample_weight is not None:
            weight = expand_to(sample_weight, actual)
            hits, predicted, actual = (x * weight for x in (hits, predicted, actual))
        self.counts.assign_add(ops.stack([*map(ops.sum, (hits, predicted, actual))]))

    def result(self):
        """Precision, recall and F1, 0 to 1; 0 where there is nothing to divide by."""
        scores = precision_recall_f1(*(self.counts[i] for i in range(3)))
        return dict(zip(("precision", "recall", "f1"), scores, strict=True))
