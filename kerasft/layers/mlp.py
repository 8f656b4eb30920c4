"""The two-layer network that a transformer block applies to each token by itself.

Source: Vaswani et al. 2017, section 3.3 (arXiv:1706.03762).
"""

import keras

from kerasft.layers.activation import ACTIVATIONS
from kerasft.layers.dense import Dense
from kerasft.layers.dropout import Dropout


class Mlp(keras.layers.Layer):
    """Widen each token, bend it, narrow it back.

    Input and output: (batch, length, width).

    Args:
        hidden_width: width in between.
        activation: a name of `ACTIVATIONS`.
        dropout: share of the output dropped.
        initializer: of the first kernel.
        last_initializer: of the second; None: as the first.
    """

    def __init__(
        self,
        hidden_width,
        activation,
        dropout,
        initializer="zeros",
        last_initializer=None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.hidden_width = hidden_width
        self.activation = ACTIVATIONS[activation]
        self.initializer = initializer
        self.last_initializer = last_initializer or initializer
        self.dropout = Dropout(dropout, name="dropout")

    def build(self, shape):
        """Build both projections for inputs of `shape`."""
        self.up_proj = Dense(
            self.hidden_width, kernel_initializer=self.initializer, name="up_proj"
        )
        self.down_proj = Dense(
            shape[-1], kernel_initializer=self.last_initializer, name="down_proj"
        )
        self.up_proj.build(shape)
        self.down_proj.build((*shape[:-1], self.hidden_width))

    def call(self, tokens, training=None):
        """Apply the network to each token."""
        hidden = self.activation(self.up_proj(tokens))
        return self.dropout(self.down_proj(hidden), training=training)


class FusedGatedMlp(keras.layers.Layer):
    """Widen each token twice, let one half gate the other, narrow the product.

    Input and output: (batch, length, width). Both halves come from one projection,
    `gate_up_proj`: first what the activation is applied to, then its factor.

    Args:
        hidden_width: width of a half.
        activation: a name of `ACTIVATIONS`.
        dropout: share of the product dropped.
        use_bias: whether the projections have biases.
        initializers: of `gate_up_proj` and of `down_proj`.

    Source: Shazeer 2020, "GLU Variants Improve Transformer" (arXiv:2002.05202).
    """

    def __init__(
        self,
        hidden_width,
        activation,
        dropout,
        use_bias,
        initializers=("zeros", "zeros"),
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.hidden_width = hidden_width
        self.activation = ACTIVATIONS[activation]
        first, second = initializers
        self.gate_up_proj = Dense(
            2 * hidden_width,
            use_bias=use_bias,
            kernel_initializer=first,
            name="gate_up_proj",
        )
        self.down_initializer, self.use_bias = second, use_bias
        self.dropout = Dropout(dropout, name="dropout")

    def build(self, shape):
        """Build both projections for inputs of `shape`."""
        self.gate_up_proj.build(shape)
        self.down_proj = Dense(
            shape[-1],
            use_bias=self.use_bias,
            kernel_initializer=self.down_initializer,
            name="down_proj",
        )
        self.down_proj.build((*shape[:-1], self.hidden_width))

    def call(self, tokens, training=None):
        """Apply the network to each token."""
        both = self.gate_up_proj(tokens)
        gated = self.activation(both[..., : self.hidden_width])
        gated = gated * both[..., self.hidden_width :]
        return self.down_proj(self.dropout(gated, training=training))


class GatedMlp(keras.layers.Layer):
    """The same with a projection of its own for each half, as Llama has it.

    Input and output: (batch, length, width).

    Args:
        hidden_width: width in between.
        activation: a name of `ACTIVATIONS`.
        use_bias: whether the projections have biases.
        initializer: of the kernels.
    """

    def __init__(
        self, hidden_width, activation, use_bias, initializer="zeros", **kwargs
    ):
        super().__init__(**kwargs)
        self.hidden_width = hidden_width
        self.activation = ACTIVATIONS[activation]
        self.options = {"use_bias": use_bias, "kernel_initializer": initializer}

    def build(self, shape):
        """Build the projections for inputs of `shape`."""
        widths = {"gate_proj": self.hidden_width, "up_proj": self.hidden_width}
        for name, units in {**widths, "down_proj": shape[-1]}.items():
            layer = Dense(units, name=name, **self.options)
            layer.build(shape if name in widths else (*shape[:-1], self.hidden_width))
            setattr(self, name, layer)

    def call(self, tokens, training=None):
        """Apply the network to each token."""
        gated = self.activation(self.gate_proj(tokens)) * self.up_proj(tokens)
        return self.down_proj(gated)
