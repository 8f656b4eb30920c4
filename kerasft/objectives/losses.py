"""Losses that say, item by item, what is scored and how much it weighs.

An item is a row, a token, or one class of a row: whatever the labels name one by one.
A train step sums `loss x weight` over the items of the global batch and divides by
the sum of the weights, so uneven batches, masks and replicas change nothing.
Labels of -100 are not scored. Losses are in nats, computed in float32.
"""

import keras
from keras import ops

from kerasft._errors import DataError, SettingsError

IGNORED = -100


class ItemLoss(keras.losses.Loss):
    """A loss with one value and one weight for each item of the labels.

    Subclasses give `call(y_true, y_pred)`, the values in the shape of the items, and
    may weigh items in `item_weights(y_true)`.

    Attribute `skips`: whether items with the integer label -100 are left out.
    """

    skips = True

    def __init__(self, name=None):
        super().__init__(name=name, reduction="mean_with_sample_weight")

    def item_weights(self, y_true):
        """1 where an item is scored, 0 where its label is -100."""
        return ops.cast(ops.not_equal(y_true, IGNORED), "float32")

    def __call__(self, y_true, y_pred, sample_weight=None):
        """Mean over the scored items: Σ(loss·weight) / Σ weight."""
        weights = self.item_weights(ops.convert_to_tensor(y_true))
        if sample_weight is not None:
            weights = weights * expand_to(sample_weight, weights)
        return super().__call__(y_true, y_pred, sample_weight=weights)


class LossSum(ItemLoss):
    """Several losses added up, each averaged over the items that it scores.

    `call` and `item_weights` take dicts, and give a dict with the values of each part.

    Args:
        parts: name -> `ItemLoss` of the labels and outputs of that name.
        factors: name -> what a part is multiplied by, where that is not 1.
    """

    def __init__(self, parts, factors=None, name="loss_sum"):
        super().__init__(name)
        self.parts = dict(parts)
        self.factors = factors or {}

    def call(self, y_true, y_pred):
        """Name -> loss of each item."""
        return {
            name: loss.call(y_true[name], y_pred[name]) * self.factors.get(name, 1.0)
            for name, loss in self.parts.items()
        }

    def item_weights(self, y_true):
        """Name -> weight of each item."""
        return {
            name: loss.item_weights(y_true[name]) for name, loss in self.parts.items()
        }

    def __call__(self, y_true, y_pred, sample_weight=None):
        """The sum of the parts' means."""
        return sum(
            self.factors.get(name, 1.0)
            * loss(y_true[name], y_pred[name], sample_weight)
            for name, loss in self.parts.items()
        )


class CrossEntropy(ItemLoss):
    """One class of many, given by number.

    Args:
        label_smoothing: share of the target spread evenly over all classes.
        class_weight: weight of each class, in label order; None: all weigh 1.
        focal_gamma: the loss is multiplied by (1 - probability of the label) to this
            power, so that rows which are right already count little; 0: it is not.

    `call` takes labels (...) integers and logits (..., classes).

    Source: Szegedy et al. 2016 (arXiv:1512.00567), section 7, for the smoothing; Lin et
    al. 2017 (arXiv:1708.02002), section 3.2, for the focus.
    """

    def __init__(
        self,
        label_smoothing=0.0,
        class_weight=None,
        focal_gamma=0.0,
        name="cross_entropy",
    ):
        super().__init__(name)
        self.label_smoothing = _share(label_smoothing)
        self.class_weight = class_weight
        self.focal_gamma = _power(focal_gamma)

    def call(self, y_true, y_pred):
        """Loss of each item, shape of `y_true`."""
        logits = ops.cast(y_pred, "float32")
        scored = ops.not_equal(y_true, IGNORED)
        labels = ops.where(scored, y_true, ops.zeros_like(y_true))
        plain = ops.sparse_categorical_crossentropy(labels, logits, from_logits=True)
        loss = plain
        if self.label_smoothing:
            even = -ops.mean(ops.log_softmax(logits), axis=-1)
            loss = (1 - self.label_smoothing) * loss + self.label_smoothing * even
        if self.focal_gamma:
            loss = loss * _focus(plain, self.focal_gamma)
        return ops.where(scored, loss, ops.zeros_like(loss))

    def item_weights(self, y_true):
        """The weight of each item's class; 0 where the label is -100."""
        weights = super().item_weights(y_true)
        if self.class_weight is None:
            return weights
        table = ops.convert_to_tensor(self.class_weight, "float32")
        labels = ops.where(weights > 0, y_true, ops.zeros_like(y_true))
        return weights * ops.take(table, ops.cast(labels, "int32"))


class BinaryCrossEntropy(ItemLoss):
    """Any number of classes at once; labels and logits (batch, classes).

    Args:
        label_smoothing: labels move this far towards one half.
        class_weight: weight of each class, in label order; None: all weigh 1.
        focal_gamma: as of `CrossEntropy`, for each class by itself.
    """

    def __init__(
        self,
        label_smoothing=0.0,
        class_weight=None,
        focal_gamma=0.0,
        name="binary_cross_entropy",
    ):
        super().__init__(name)
        self.label_smoothing = _share(label_smoothing)
        self.class_weight = class_weight
        self.focal_gamma = _power(focal_gamma)

    def call(self, y_true, y_pred):
        """Loss of each class of each row, (batch, classes)."""
        logits = ops.cast(y_pred, "float32")
        labels = ops.cast(y_true, "float32")
        labels = ops.where(labels == IGNORED, ops.zeros_like(labels), labels)
        soft = labels
        if self.label_smoothing:
            soft = labels * (1 - self.label_smoothing) + 0.5 * self.label_smoothing
        loss = _binary(soft, logits)
        if self.focal_gamma:
            loss = loss * _focus(_binary(labels, logits), self.focal_gamma)
        return loss

    def item_weights(self, y_true):
        """The weight of each class of each row."""
        weights = super().item_weights(y_true)
        if self.class_weight is None:
            return weights
        return weights * ops.convert_to_tensor(self.class_weight, "float32")


class ReplacedTokens(ItemLoss):
    """Whether each token stands where another stood.

    `call` takes the tokens that stood there (batch, length), -100 = not scored, and
    float32 (batch, length, 2): logits, and the tokens that stand there now.

    Source: Clark et al. 2020 (arXiv:2003.10555), section 2.
    """

    def __init__(self, name="replaced_tokens"):
        super().__init__(name)

    def call(self, y_true, y_pred):
        """Binary cross-entropy of each token, (batch, length)."""
        logits, replaced = told_and_true(y_true, y_pred)
        return _binary(replaced, logits)


def told_and_true(y_true, y_pred):
    """Logits that tokens are replaced, and whether they are, 0 or 1, (batch, length).

    Args:
        y_true, y_pred: as of `ReplacedTokens.call`.
    """
    y_true, y_pred = ops.cast(y_true, "float32"), ops.cast(y_pred, "float32")
    return y_pred[..., 0], ops.cast(ops.not_equal(y_true, y_pred[..., 1]), "float32")


class SquaredError(ItemLoss):
    """Squared distance to one number (batch,) or several (batch, numbers)."""

    skips = False

    def __init__(self, name="squared_error"):
        super().__init__(name)

    def call(self, y_true, y_pred):
        """Squared error of each number, shape of `y_true`."""
        predicted = ops.reshape(ops.cast(y_pred, "float32"), ops.shape(y_true))
        return ops.square(ops.cast(y_true, "float32") - predicted)

    def item_weights(self, y_true):
        """Every number counts: -100 may be a target."""
        return ops.ones_like(ops.cast(y_true, "float32"))


def _binary(labels, logits):
    # max(x, 0) - x·y + log(1 + exp(-|x|)): no overflow at either end.
    small = ops.log1p(ops.exp(-ops.absolute(logits)))
    return ops.relu(logits) - logits * labels + small


def _focus(cross_entropy, gamma):
    """(1 - probability of the label)^gamma; exact where that probability is near 1."""
    missing = -ops.expm1(-cross_entropy)
    return ops.power(ops.maximum(missing, 1e-12), gamma)  # Else 0's slope may be inf.


class RowLoss(ItemLoss):
    """Somebody else's loss, such as a Keras one, as one value a row.

    Args:
        loss: a Keras loss, or a function of labels and logits. Its own weighting and
            reduction are not used.
    """

    skips = False

    def __init__(self, loss, name="row_loss"):
        super().__init__(name)
        self.values = loss.call if isinstance(loss, keras.losses.Loss) else loss

    def call(self, y_true, y_pred):
        """Mean over each row's values, (batch,)."""
        if y_pred.shape[-1] == 1 and len(y_true.shape) < len(y_pred.shape):
            y_true = ops.expand_dims(y_true, -1)  # Else Keras' mean is over the batch.
        values = ops.cast(self.values(y_true, y_pred), "float32")
        return ops.mean(values, axis=tuple(range(1, len(values.shape))))

    def item_weights(self, y_true):
        """1 for each row, (batch,)."""
        return ops.ones(ops.shape(y_true)[:1], "float32")


def expand_to(weights, items):
    """Weights of rows (batch,) in the rank of `items`, to be multiplied with them.

    Raises:
        DataError: they have more axes than the items, and would multiply them.
    """
    weights = ops.cast(ops.convert_to_tensor(weights), "float32")
    if len(weights.shape) > len(items.shape):
        raise DataError(
            f"Sample weights have shape {tuple(weights.shape)}, what they weigh has "
            f"shape {tuple(items.shape)}. Give one weight a row: (batch,)."
        )
    while len(weights.shape) < len(items.shape):
        weights = ops.expand_dims(weights, -1)
    return weights


def _share(value):
    if not 0 <= value < 1:
        raise SettingsError(f"label_smoothing is {value}; it must be in [0, 1).")
    return float(value)


def _power(value):
    if not 0 <= value < float("inf"):
        raise SettingsError(f"focal_gamma is {value}; it must be at least 0.")
    return float(value)
