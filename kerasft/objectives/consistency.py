"""Two passes with other dropout shall agree: R-Drop.

Source: Liang et al. 2021 (arXiv:2106.14448), section 2.2; but the losses of the two
passes are averaged, not added, so that the learning rate means what it means without.
"""

from keras import ops

from kerasft._errors import SettingsError
from kerasft.objectives.losses import BinaryCrossEntropy, CrossEntropy, ItemLoss


class RDrop(ItemLoss):
    """A loss of single labels, and how far two passes over the same batch differ.

    The train step runs each batch twice and asks `of_two`; elsewhere this is the loss
    that it wraps.

    Args:
        loss: a `CrossEntropy` or `BinaryCrossEntropy`.
        alpha: weight of the difference; above 0.

    Raises:
        SettingsError: another loss, or another alpha.
    """

    passes = 2

    def __init__(self, loss, alpha, name="r_drop"):
        super().__init__(name)
        if not isinstance(loss, CrossEntropy | BinaryCrossEntropy):
            raise SettingsError(
                "rdrop_alpha goes with cross-entropy of single labels: not with "
                f"regression, a conditional random field or your own ({loss.name})."
            )
        if not 0 < alpha < float("inf"):
            raise SettingsError(f"rdrop_alpha is {alpha}; it must be at least 0.")
        self.loss, self.alpha = loss, float(alpha)

    def call(self, y_true, y_pred):
        """The wrapped loss."""
        return self.loss.call(y_true, y_pred)

    def item_weights(self, y_true):
        """Those of the wrapped loss."""
        return self.loss.item_weights(y_true)

    def of_two(self, y_true, first, second):
        """Loss of each item, given the logits of both passes."""
        mean = (self.loss.call(y_true, first) + self.loss.call(y_true, second)) / 2
        several = isinstance(self.loss, CrossEntropy)
        apart = (_softmax_divergence if several else _sigmoid_divergence)(first, second)
        return mean + self.alpha * apart


def _softmax_divergence(first, second):
    """Mean of both Kullback-Leibler divergences, over the last axis, in nats."""
    first, second = (ops.log_softmax(ops.cast(x, "float32")) for x in (first, second))
    return ops.sum((ops.exp(first) - ops.exp(second)) * (first - second), -1) / 2


def _sigmoid_divergence(first, second):
    """The same for each class by itself."""
    first, second = ops.cast(first, "float32"), ops.cast(second, "float32")
    return (ops.sigmoid(first) - ops.sigmoid(second)) * (first - second) / 2
