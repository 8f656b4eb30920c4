"""Loss and accuracy of two places in a text: where an answer begins and where it ends.

Labels are (batch, 2) token numbers, logits (batch, length, 2).

Source: Devlin et al. 2018 (arXiv:1810.04805), section 4.2.
"""

import keras
from keras import ops

from kerasft.objectives.losses import CrossEntropy, expand_to


class PositionLoss(CrossEntropy):
    """Cross-entropy of the first and of the last token, each over all positions.

    The mean over rows is that of torch's models for question answering: padding counts
    in the softmax, as it does there. A label of -100 is not scored (torch would take
    the first token for it).

    Args:
        label_smoothing: share of the target spread evenly over all positions, padding
            too.
        focal_gamma: as of `CrossEntropy`.
    """

    def __init__(self, label_smoothing=0.0, focal_gamma=0.0, name="position_loss"):
        super().__init__(label_smoothing, None, focal_gamma, name)

    def call(self, y_true, y_pred):
        """Loss of each start and end, (batch, 2)."""
        return super().call(y_true, ops.swapaxes(y_pred, 1, 2))


class PositionAccuracy(keras.metrics.Mean):
    """Share of examples whose most likely position is the right one.

    An example is a window: (0, 0) is right where it does not hold the answer. How many
    *questions* are answered rightly is told by `answers.score_answers`.

    Args:
        which: "start", "end", or "both": both right.
    """

    def __init__(self, which="both", name=None):
        super().__init__(name=name or f"{which}_accuracy")
        self.which = {"start": slice(0, 1), "end": slice(1, 2)}.get(which, slice(2))

    def update_state(self, y_true, y_pred, sample_weight=None):
        """Labels (batch, 2), logits (batch, length, 2); -100 does not count."""
        y_true = ops.cast(y_true, "int32")[:, self.which]
        best = ops.cast(ops.argmax(y_pred, axis=1), "int32")[:, self.which]
        right = ops.cast(ops.all(ops.equal(y_true, best), axis=1), "float32")
        weights = ops.cast(ops.all(y_true >= 0, axis=1), "float32")
        if sample_weight is not None:
            weights = weights * expand_to(sample_weight, weights)
        return super().update_state(right, sample_weight=weights)
