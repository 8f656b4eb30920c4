"""The loss of a conditional random field: how unlikely the whole tag sequence is."""

from keras import ops

from kerasft.objectives.losses import IGNORED, ItemLoss


class ChainLoss(ItemLoss):
    """Negative log-likelihood of each row's tags under a `CRF`, per scored token.

    An item is a row; it weighs as much as it has scored tokens, so that the mean is one
    over tokens, whatever the lengths.

    Args:
        crf: the `CRF` of the head.

    `call` takes tags (batch, length), -100 = not scored, and logits (batch, length,
    tags).
    """

    def __init__(self, crf, name="chain_loss"):
        super().__init__(name)
        self.crf = crf

    def call(self, y_true, y_pred):
        """Loss of each row by its scored tokens, (batch,), in nats."""
        mask = ops.not_equal(y_true, IGNORED)
        tags = ops.where(mask, y_true, ops.zeros_like(y_true))
        likelihood = self.crf.log_likelihood(y_pred, tags, mask)
        count = ops.maximum(self.item_weights(y_true), 1.0)
        return -ops.cast(likelihood, "float32") / count

    def item_weights(self, y_true):
        """How many tokens of each row are scored, (batch,)."""
        return ops.sum(super().item_weights(y_true), axis=-1)
