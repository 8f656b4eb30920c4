"""Loss and scores of triples: maps of token pairs of which very few are right.

Labels are int32 (batch, most triples, 5): first and last token of the subject,
relation, first and last token of the object; -1 fills up a row that has fewer.
"""

import keras
from keras import ops

from kerasft.objectives.losses import ItemLoss, expand_to
from kerasft.objectives.span_metrics import precision_recall_f1


def true_maps(triples, relations, length):
    """Which pairs of tokens are right, 0 or 1.

    Args:
        triples: labels, as above.
        relations: kinds of links.
        length: tokens of a row.

    Returns:
        float32 (batch, 2 + 2 relations, length, length).
    """
    triples = ops.cast(triples, "int32")
    begin, end, relation, first, last = (triples[..., i] for i in range(5))
    there = begin >= 0
    classes = 2 + 2 * relations
    subject = ops.zeros_like(begin)
    cells = [
        (subject, begin, end),
        (subject + 1, first, last),
        (2 + relation, begin, first),
        (2 + relations + relation, end, last),
    ]
    flat = ops.concatenate([(c * length + m) * length + n for c, m, n in cells], axis=1)
    # What is not there goes to a cell of its own, which is cut off.
    outside = classes * length * length
    flat = ops.where(ops.tile(there, (1, 4)), flat, outside)
    rows = ops.shape(triples)[0]
    starts = ops.arange(rows, dtype="int32")[:, None] * (outside + 1)
    places = ops.reshape(flat + starts, (-1, 1))
    ones = ops.ones_like(places[:, 0], dtype="float32")
    counts = ops.scatter(places, ones, (rows * (outside + 1),))
    maps = ops.reshape(counts, (rows, outside + 1))[:, :outside]
    maps = ops.cast(maps > 0, "float32")  # Triples may share a mention.
    return ops.reshape(maps, (rows, classes, length, length))


class TripleLoss(ItemLoss):
    """Every right pair above 0 and every other one below, map by map.

    For each map log(1 + Σ e^s over the others) + log(1 + Σ e^-s over the right ones);
    the loss of a row is the sum over its maps. Pairs that are not there must have very
    negative logits.

    Args:
        relations: kinds of links.

    Source: Su et al. 2022, "ZLPR" (arXiv:2208.02955), equation 5.
    """

    def __init__(self, relations, name="triple_loss"):
        super().__init__(name)
        self.relations = relations

    def call(self, y_true, y_pred):
        """Loss of each row, (batch,)."""
        logits = ops.cast(y_pred, "float32")
        shape = ops.shape(logits)
        right = true_maps(y_true, self.relations, shape[-1])
        flat = (shape[0], shape[1], shape[2] * shape[3])
        right, logits = ops.reshape(right, flat), ops.reshape(logits, flat)
        none = -1e9
        others = ops.where(right > 0, none, logits)
        found = ops.where(right > 0, -logits, none)
        return ops.sum(_log_one_plus(others) + _log_one_plus(found), axis=-1)

    def item_weights(self, y_true):
        """1 for each row: one without triples counts, too."""
        return ops.ones(ops.shape(y_true)[:1], "float32")


def _log_one_plus(scores):
    """log(1 + Σ e^s) over the last axis."""
    zero = ops.zeros_like(scores[..., :1])
    return ops.logsumexp(ops.concatenate([zero, scores], axis=-1), axis=-1)


class PairScores(keras.metrics.Metric):
    """Precision, recall and F1 of single pairs of tokens, of all maps together.

    Args:
        relations: kinds of links.
    """

    def __init__(self, relations, name="pair_scores"):
        super().__init__(name=name)
        self.relations = relations
        self.counts = self.add_weight((3,), "zeros", name="counts")

    def update_state(self, y_true, y_pred, sample_weight=None):
        """Labels as above, logits (batch, 2 + 2 relations, length, length)."""
        actual = true_maps(y_true, self.relations, ops.shape(y_pred)[-1])
        predicted = ops.cast(y_pred > 0, "float32")
        hits = actual * predicted
        if sample_weight is not None:
            weight = expand_to(sample_weight, actual)
            hits, predicted, actual = (x * weight for x in (hits, predicted, actual))
        self.counts.assign_add(ops.stack([*map(ops.sum, (hits, predicted, actual))]))

    def result(self):
        """Precision, recall and F1 of pairs, 0 to 1."""
        scores = precision_recall_f1(*(self.counts[i] for i in range(3)))
        return dict(
            zip(("pair_precision", "pair_recall", "pair_f1"), scores, strict=True)
        )
