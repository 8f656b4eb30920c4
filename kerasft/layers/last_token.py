"""From hidden states of tokens to the logits of a whole text, by its last token.

In a decoder the last token alone has seen the whole text.

Source: Radford et al. 2018, "Improving Language Understanding by Generative
Pre-Training", section 3.2.
"""

import keras
from keras import ops

from kerasft.layers.dense import Dense


class LastTokenHead(keras.layers.Layer):
    """Logits of a text from the hidden state of its last token.

    Input: (batch, length, width). Output: (batch, num_labels).
    Attribute `readers`: how many tokens, from the first, it looks at; None: all.

    Args:
        num_labels: logits per text.
        initializer: of the kernel; there is no bias.
    """

    readers = None

    def __init__(self, num_labels, initializer="zeros", **kwargs):
        super().__init__(**kwargs)
        self.logits = Dense(
            num_labels, use_bias=False, kernel_initializer=initializer, name="logits"
        )

    def build(self, shape):
        """Build for hidden states of `shape`."""
        self.logits.build((shape[0], shape[-1]))

    def call(self, hidden_states, training=None, attention_mask=None):
        """Score the last token of `attention_mask`; of a row without any, the first."""
        if attention_mask is None:
            return self.logits(hidden_states[:, -1])
        places = ops.arange(ops.shape(attention_mask)[1], dtype="int32")
        last = ops.max(places * ops.cast(attention_mask, "int32"), axis=1)
        states = ops.take_along_axis(hidden_states, last[:, None, None], axis=1)
        return self.logits(states[:, 0])
