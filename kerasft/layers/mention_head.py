"""From hidden states of a text to logits of what one mention in it is to another."""

import keras
from keras import ops

from kerasft.layers.dense import Dense
from kerasft.layers.dropout import Dropout


class MentionHead(keras.layers.Layer):
    """Logits of a pair of mentions: the mean state of each, side by side.

    Input: (batch, length, width), and int32 (batch, length): 1 where a token stands for
    the first mention, 2 for the second, 3 for both, else 0. Output: (batch,
    num_labels).

    Args:
        num_labels: logits of a pair.
        dropout: share dropped before each of the two layers.
        initializer: of both kernels.

    Sources: Baldini Soares et al. 2019 (arXiv:1906.03158), section 3.2, for the states
    of marks; Wu and He 2019 (arXiv:1905.08284), section 3.2, for means and the layer
    with tanh.
    """

    readers = None

    def __init__(self, num_labels, dropout, initializer, **kwargs):
        super().__init__(**kwargs)
        self.initializer = initializer
        self.num_labels = num_labels
        self.first_dropout = Dropout(dropout, name="first_dropout")
        self.dropout = Dropout(dropout, name="dropout")

    def build(self, shape):
        """Build for hidden states of `shape`."""
        width = shape[-1]
        self.dense = Dense(width, kernel_initializer=self.initializer, name="dense")
        self.logits = Dense(
            self.num_labels, kernel_initializer=self.initializer, name="logits"
        )
        self.dense.build((shape[0], 2 * width))
        self.logits.build((shape[0], width))

    def call(self, hidden_states, mention_ids, training=None):
        """Score each pair."""
        sides = (mention_ids % 2, mention_ids // 2)
        means = [_mean_where(hidden_states, side) for side in sides]
        both = self.first_dropout(ops.concatenate(means, axis=-1), training=training)
        pooled = ops.tanh(self.dense(both))
        return self.logits(self.dropout(pooled, training=training))


def _mean_where(hidden_states, chosen):
    """Mean (batch, width) of the states where `chosen` is 1; 0 where none is."""
    chosen = ops.cast(chosen, hidden_states.dtype)[:, None]
    total = ops.matmul(chosen, hidden_states)[:, 0]
    return total / ops.maximum(ops.sum(chosen, axis=-1), 1)
