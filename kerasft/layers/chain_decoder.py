"""A conditional random field's best sequences, compiled."""

import keras
from keras import ops


class ChainDecoder(keras.Model):
    """The best tag sequences under a `CRF`, with each tag's marginal probability.

    A model of its own for the sake of `predict_on_batch`, which is compiled: step by
    step a long row would take seconds.

    Args:
        crf: the `CRF`.
    """

    def __init__(self, crf):
        super().__init__(name="chain_decoder")
        self.crf = crf

    def call(self, inputs):
        """Of `logits` and `mask`: tags and chances, two (batch, length)."""
        logits, mask = inputs["logits"], inputs["mask"]
        tags, _ = self.crf.decode(logits, mask)
        places = ops.maximum(tags, 0)[..., None]
        chances = ops.take_along_axis(self.crf.marginals(logits, mask), places, -1)
        return tags, chances[..., 0]


def decoder_of(crf):
    """A function of {"logits", "mask"}, arrays: best tags and their chances, arrays."""
    return ChainDecoder(crf).predict_on_batch
