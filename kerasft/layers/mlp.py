"""The two-layer network that a transformer block applies to each token by itself.

Source: Vaswani et al. 2017, section 3.3 (arXiv:1706.03762).
"""

import keras

from kerasft.layers.activation import ACTIVATIONS
from kerasft.layers.dropout import Dropout


class Mlp(keras.layers.Layer):
    """Widen each token, bend it, narrow it back.

    Input and output: (batch, length, width).

    Args:
        hidden_width: width in between.
        activation: a name of `ACTIVATIONS`.
        dropout: share of the output dropped.
        initializer: of the two kernels.
    """

    def __init__(
        self, hidden_width, activation, dropout, initializer="zeros", **kwargs
    ):
        super().__init__(**kwargs)
        self.hidden_width = hidden_width
        self.activation = ACTIVATIONS[activation]
        self.initializer = initializer
        self.dropout = Dropout(dropout, name="dropout")

    def build(self, shape):
        """Build both projections for inputs of `shape`."""
        self.up_proj = keras.layers.Dense(
            self.hidden_width, kernel_initializer=self.initializer, name="up_proj"
        )
        self.down_proj = keras.layers.Dense(
            shape[-1], kernel_initializer=self.initializer, name="down_proj"
        )
        self.up_proj.build(shape)
        self.down_proj.build((*shape[:-1], self.hidden_width))

    def call(self, tokens, training=None):
        """Apply the network to each token."""
        hidden = self.activation(self.up_proj(tokens))
        return self.dropout(self.down_proj(hidden), training=training)
