"""From hidden states of tokens to the logits of a whole text.

Source: Devlin et al. 2018, section 3.2; the families differ in the activation and in
whether dropout comes first.
"""

import keras
from keras import ops

from kerasft.layers.activation import ACTIVATIONS
from kerasft.layers.dense import Dense
from kerasft.layers.dropout import Dropout

EVERY = "every"  # As `readers`: all tokens, and those of a prompt before them.


def real_states(attention_mask, hidden_states):
    """1 for a token's state and for any before those of the text, 0 for padding.

    (batch, length of the states, 1), of their dtype.
    """
    before = ops.shape(hidden_states)[1] - ops.shape(attention_mask)[1]
    real = ops.pad(attention_mask, ((0, 0), (before, 0)), constant_values=1)
    return ops.cast(real, hidden_states.dtype)[..., None]


class FirstTokenHead(keras.layers.Layer):
    """Logits of a text from the hidden state of its first token.

    Input: (batch, length, width). Output: (batch, num_labels).
    Attribute `readers`: how many tokens, from the first, it looks at.

    Args:
        num_labels: logits per text.
        activation: a name of `ACTIVATIONS`, after the pooler.
        dropout: share dropped before the logits.
        first_dropout: share dropped before the pooler.
        initializer: of both kernels.
    """

    readers = 1

    def __init__(
        self,
        num_labels,
        activation,
        dropout,
        first_dropout=0.0,
        initializer="zeros",
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.num_labels = num_labels
        self.activation = ACTIVATIONS[activation]
        self.initializer = initializer
        self.first_dropout = Dropout(first_dropout, name="first_dropout")
        self.dropout = Dropout(dropout, name="dropout")

    def build(self, shape):
        """Build pooler and logits for hidden states of `shape`."""
        first = (shape[0], shape[-1])
        self.pooler = Dense(
            shape[-1], kernel_initializer=self.initializer, name="pooler"
        )
        self.logits = Dense(
            self.num_labels, kernel_initializer=self.initializer, name="logits"
        )
        self.pooler.build(first)
        self.logits.build(first)

    def call(self, hidden_states, training=None, attention_mask=None):
        """Pool the first token and score it."""
        first = self.first_dropout(hidden_states[:, 0], training=training)
        pooled = self.activation(self.pooler(first))
        return self.logits(self.dropout(pooled, training=training))


class PooledHead(keras.layers.Layer):
    """Logits of a text from its first token or the mean of all, normalised between.

    Input: (batch, length, width). Output: (batch, num_labels).
    Attribute `readers`: how many tokens, from the first, it looks at; or `EVERY`.

    Args:
        num_labels: logits per text.
        activation: a name of `ACTIVATIONS`, after the pooler.
        dropout: share dropped before the logits.
        norm: name -> a layer norm, after the activation.
        pooling: "cls" or "mean".
        pooler_bias: whether the pooler has a bias.
        initializers: of the pooler's kernel and of the logits'.

    Source: Warner et al. 2024 (arXiv:2412.13663), as in `transformers`.
    """

    def __init__(
        self,
        num_labels,
        activation,
        dropout,
        norm,
        pooling,
        pooler_bias=False,
        initializers=("zeros", "zeros"),
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.num_labels = num_labels
        self.activation = ACTIVATIONS[activation]
        self.readers = 1 if pooling == "cls" else EVERY
        self.pooler_bias = pooler_bias
        self.initializers = tuple(initializers)
        self.pooler_norm = norm("pooler_norm")
        self.dropout = Dropout(dropout, name="dropout")

    def build(self, shape):
        """Build pooler, norm and logits for hidden states of `shape`."""
        pooled = (shape[0], shape[-1])
        first, second = self.initializers
        self.pooler = Dense(
            shape[-1],
            use_bias=self.pooler_bias,
            kernel_initializer=first,
            name="pooler",
        )
        self.logits = Dense(self.num_labels, kernel_initializer=second, name="logits")
        for layer in (self.pooler, self.pooler_norm, self.logits):
            layer.build(pooled)

    def call(self, hidden_states, training=None, attention_mask=None):
        """Pool and score.

        The mean is over the tokens of `attention_mask`, and any states before those.
        """
        if self.readers == 1:
            pooled = hidden_states[:, 0]
        elif attention_mask is None:
            pooled = ops.mean(hidden_states, axis=1)
        else:
            real = real_states(attention_mask, hidden_states)
            pooled = ops.sum(hidden_states * real, axis=1) / ops.sum(real, axis=1)
        pooled = self.pooler_norm(self.activation(self.pooler(pooled)))
        return self.logits(self.dropout(pooled, training=training))
