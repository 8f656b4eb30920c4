"""Attention that knows positions by turning queries and keys, one fused projection.

A pair of features is turned by an angle that grows with the position, so the product of
a query and a key depends on their distance alone.

Source: Su et al. 2021, "RoFormer" (arXiv:2104.09864), section 3.2; feature i is paired
with feature i + size / 2, as in GPT-NeoX and `transformers`.
"""

import keras
from keras import ops

from kerasft.layers.attention import SelfAttention
from kerasft.layers.packing import UNPACKED


def rotation(position_ids, size, theta):
    """Cosines and sines by which features are turned.

    Args:
        position_ids: (batch or 1, length).
        size: features of a head.
        theta: the slowest pair turns once in about 2π·theta positions.

    Returns:
        Two float32 (batch or 1, 1, length, size).
    """
    powers = ops.arange(0, size, 2, dtype="float32") / size
    speeds = 1.0 / ops.power(ops.cast(theta, "float32"), powers)
    angles = ops.cast(position_ids, "float32")[..., None] * speeds
    angles = ops.concatenate([angles, angles], axis=-1)[:, None]
    return ops.cos(angles), ops.sin(angles)


def turned(features, cosines, sines):
    """Turn (batch, heads, length, size); computed in float32."""
    wide = ops.cast(features, "float32")
    half = wide.shape[-1] // 2
    swapped = ops.concatenate([-wide[..., half:], wide[..., :half]], axis=-1)
    return ops.cast(wide * cosines + swapped * sines, features.dtype)


class RotaryAttention(SelfAttention):
    """Each token becomes a weighted mean of the tokens it may see.

    Input (batch, length, width), output (batch, readers, width). One projection,
    `qkv_proj`, gives queries, keys and values side by side.

    Args:
        num_heads: heads; they share the width evenly.
        attention_dropout: share of attention weights dropped.
        dropout: share of the output dropped.
        use_bias: whether the projections have biases.
        initializer: of `qkv_proj`.
        output_initializer: of `o_proj`.
    """

    def __init__(
        self,
        num_heads,
        attention_dropout,
        dropout,
        use_bias,
        initializer="zeros",
        output_initializer="zeros",
        **kwargs,
    ):
        super().__init__(num_heads, attention_dropout, dropout, initializer, **kwargs)
        self.use_bias = use_bias
        self.output_initializer = output_initializer

    def build(self, shape):
        """Build both projections for inputs of `shape`."""
        self.width = shape[-1]
        self.qkv_proj = keras.layers.Dense(
            3 * self.width,
            use_bias=self.use_bias,
            kernel_initializer=self.initializer,
            name="qkv_proj",
        )
        self.o_proj = keras.layers.Dense(
            self.width,
            use_bias=self.use_bias,
            kernel_initializer=self.output_initializer,
            name="o_proj",
        )
        self.qkv_proj.build(shape)
        self.o_proj.build(shape)

    def call(
        self, tokens, turn, bias=None, training=None, readers=None, packing=UNPACKED
    ):
        """Attend.

        Args:
            tokens: (batch, length, width), what is looked at.
            turn: what `rotation` gives.
            bias: what `attention_bias` gives.
            training: whether to drop.
            readers: the first so many tokens alone look; None: all of them. These
                come out in rows, whatever went in.
            packing: how `tokens` lie.
        """
        parts = packing.rows(self.qkv_proj(tokens))
        size = self.width // self.num_heads
        shape = (-1, ops.shape(parts)[1], 3, self.num_heads, size)
        parts = ops.transpose(ops.reshape(parts, shape), (2, 0, 3, 1, 4))
        queries, keys = (turned(part, *turn) for part in (parts[0], parts[1]))
        if readers is not None:
            queries = queries[:, :, :readers]
        scores = ops.matmul(queries * size**-0.5, ops.transpose(keys, (0, 1, 3, 2)))
        weights = self._weights(scores, bias, training, readers)
        return self._output(ops.matmul(weights, parts[2]), training, readers, packing)
