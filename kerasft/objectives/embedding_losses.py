"""Losses of embedders, for vectors (batch, columns, width) of rows of several texts.

The formulas are in `similarity.py`; here they get their rows: which columns, which
labels. `EMBEDDING_LOSSES` has them by name. Rows whose label is the integer -100 only
fill up a batch: no other row meets them. The trap: with the in-batch losses each row's
value depends on the others of its batch, so these batches cannot be worked through in
parts; on several replicas of TensorFlow a row meets those of its own replica.
"""

from keras import ops

from kerasft._errors import DataError
from kerasft._registry import Registry
from kerasft.objectives import similarity
from kerasft.objectives.losses import IGNORED, ItemLoss

COLUMNS = "text", "text and text_pair", "text, text_pair and negative"


class EmbeddingLoss(ItemLoss):
    """A loss of the vectors of rows; one value a row.

    Attributes: `in_batch`, whether rows of a batch depend on one another; `columns`,
    how many texts a row may have; `scored`, whether it takes a number for each.
    """

    in_batch = False
    columns = (2,)
    scored = False

    def __init__(self, name):
        super().__init__(name)

    def check(self, y_true, y_pred):
        """Refuse rows of another kind.

        Raises:
            DataError: too few or too many texts a row, or scores where none are used.
        """
        found, floats = y_pred.shape[1], "float" in str(y_true.dtype)
        if len(y_pred.shape) != 3 or found not in self.columns or floats != self.scored:
            wanted = " or ".join(COLUMNS[count - 1] for count in self.columns)
            number = "a number" if self.scored else "no number"
            raise DataError(
                f"The {self.name} loss takes rows of {wanted}, with {number} for "
                f"each; these have {found} texts each and "
                f"{'a' if floats else 'no'} number. Choose another loss in compile: "
                f"{', '.join(EMBEDDING_LOSSES)}."
            )

    def item_weights(self, y_true):
        """1 for each row."""
        return ops.ones(ops.shape(y_true)[:1], "float32")


class Ranking(EmbeddingLoss):
    """Find each text's partner among all of the batch, by cross-entropy.

    Of rows of one text each, which go in twice, it is SimCSE. A third text is one
    more that nobody in the batch belongs to.

    Args:
        scale: of the cosines, 1 / temperature.
        symmetric: rank the first texts for the second ones, too.
    """

    in_batch = True
    columns = (2, 3)

    def __init__(self, scale=20.0, symmetric=False, name="ranking"):
        super().__init__(name)
        self.scale = scale
        self.symmetric = symmetric
        if symmetric:
            self.columns = (2,)

    def call(self, y_true, y_pred):
        """Value of each row, (batch,)."""
        self.check(y_true, y_pred)
        anchors, positives, real = y_pred[:, 0], y_pred[:, 1], there(y_true)
        if self.symmetric:
            return similarity.symmetric_ranking(anchors, positives, self.scale, real)
        negatives = y_pred[:, 2] if y_pred.shape[1] == 3 else None
        return similarity.ranking(anchors, positives, negatives, self.scale, real)


class Triplet(EmbeddingLoss):
    """Nearer to the second text than to the third, by a margin.

    Args:
        margin: of the Euclidean distances.
    """

    columns = (3,)

    def __init__(self, margin=5.0, name="triplet"):
        super().__init__(name)
        self.margin = margin

    def call(self, y_true, y_pred):
        """Value of each row, (batch,)."""
        self.check(y_true, y_pred)
        return similarity.triplet(y_pred[:, 0], y_pred[:, 1], y_pred[:, 2], self.margin)


class CosineError(EmbeddingLoss):
    """Squared difference of the cosine of two texts and their score, -1 to 1."""

    scored = True

    def __init__(self, name="cosine"):
        super().__init__(name)

    def call(self, y_true, y_pred):
        """Value of each row, (batch,)."""
        self.check(y_true, y_pred)
        return similarity.cosine_error(y_pred[:, 0], y_pred[:, 1], y_true)


class Contrastive(EmbeddingLoss):
    """Pull pairs scored 1 together, push those scored 0 apart, up to a margin.

    Args:
        margin: of the cosine distance.
    """

    scored = True

    def __init__(self, margin=0.5, name="contrastive"):
        super().__init__(name)
        self.margin = margin

    def call(self, y_true, y_pred):
        """Value of each row, (batch,)."""
        self.check(y_true, y_pred)
        left, right = y_pred[:, 0], y_pred[:, 1]
        return similarity.contrastive(left, right, y_true, self.margin)


class ClassRanking(EmbeddingLoss):
    """Find, among all of the batch, the other texts of one's class.

    A text whose class nobody else in the batch has does not count.

    Args:
        scale: of the cosines, 1 / temperature.
    """

    in_batch = True
    columns = (1,)

    def __init__(self, scale=20.0, name="classes"):
        super().__init__(name)
        self.scale = scale

    def call(self, y_true, y_pred):
        """Value of each row, (batch,)."""
        self.check(y_true, y_pred)
        real = there(y_true)
        return similarity.class_ranking(y_pred[:, 0], y_true, self.scale, real)

    def item_weights(self, y_true):
        """1 where another of the batch has the same class."""
        return ops.cast(ops.any(similarity.same_class(y_true), axis=-1), "float32")


def there(y_true):
    """Which rows do not only fill up the batch, bool (batch,)."""
    return ops.not_equal(y_true, IGNORED)


EMBEDDING_LOSSES = Registry(
    "loss of embeddings",
    ranking=Ranking,
    symmetric_ranking=lambda: Ranking(symmetric=True, name="symmetric_ranking"),
    triplet=Triplet,
    cosine=CosineError,
    contrastive=Contrastive,
    classes=ClassRanking,
)
"""Name of a loss -> what makes it."""
