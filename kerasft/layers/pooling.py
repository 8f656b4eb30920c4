"""From hidden states of tokens to the logits of a whole text.

Source: Devlin et al. 2018, section 3.2; the families differ in the activation and in
whether dropout comes first.
"""

import keras

from kerasft.layers.activation import ACTIVATIONS
from kerasft.layers.dropout import Dropout


class FirstTokenHead(keras.layers.Layer):
    """Logits of a text from the hidden state of its first token.

    Input: (batch, length, width). Output: (batch, num_labels).
    Attribute `readers`: how many tokens, from the first, it looks at.

    Args:
        num_labels: logits per text.
        activation: a name of `ACTIVATIONS`, after the pooler.
        dropout: share dropped before the logits.
        dropout_first: whether the same share is dropped before the pooler, too.
        initializer: of both kernels.
    """

    readers = 1

    def __init__(
        self,
        num_labels,
        activation,
        dropout,
        dropout_first=False,
        initializer="zeros",
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.num_labels = num_labels
        self.activation = ACTIVATIONS[activation]
        self.initializer = initializer
        self.first_dropout = Dropout(
            dropout if dropout_first else 0.0, name="first_dropout"
        )
        self.dropout = Dropout(dropout, name="dropout")

    def build(self, shape):
        """Build pooler and logits for hidden states of `shape`."""
        first = (shape[0], shape[-1])
        self.pooler = keras.layers.Dense(
            shape[-1], kernel_initializer=self.initializer, name="pooler"
        )
        self.logits = keras.layers.Dense(
            self.num_labels, kernel_initializer=self.initializer, name="logits"
        )
        self.pooler.build(first)
        self.logits.build(first)

    def call(self, hidden_states, training=None):
        """Pool the first token and score it."""
        first = self.first_dropout(hidden_states[:, 0], training=training)
        pooled = self.activation(self.pooler(first))
        return self.logits(self.dropout(pooled, training=training))
