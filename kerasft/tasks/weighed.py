"""What all backends' train steps have in common: weights, and who counts the loss.

In `keras.ops`, so that one piece serves TensorFlow's step and that of JAX.
"""

from keras import tree

from kerasft.objectives.losses import LossSum, expand_to
from kerasft.objectives.metrics import MeanSum


class Weighed:
    """Mixin of a train step for `keras.Model`, which sets `item_loss`."""

    def compile(self, **options):
        """As Keras', with a tracker for each part of the loss."""
        super().compile(**options)
        if isinstance(self.item_loss, LossSum):
            tracker = MeanSum(self.item_loss.parts)
            # So that Keras does not list it among the other metrics, too.
            object.__setattr__(self, "_loss_tracker", tracker)

    def _weights(self, y, sample_weight):
        """Weight of each item."""
        weights = self.item_loss.item_weights(y)
        if sample_weight is None:
            return weights

        def weighed(items):
            return items * expand_to(sample_weight, items)

        return tree.map_structure(weighed, weights)
