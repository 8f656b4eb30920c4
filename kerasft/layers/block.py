"""One block of a transformer encoder: normalised after each residual sum, or before.

Source: Vaswani et al. 2017, section 3.1 (arXiv:1706.03762).
"""

import keras

from kerasft.layers.norm import LayerNorm
from kerasft.layers.packing import UNPACKED


class AdaptableBlock(keras.layers.Layer):
    """A block with a place for an adapter behind, or beside, each of its two parts."""

    attention_adapter = None
    mlp_adapter = None


class Block(AdaptableBlock):
    """Attention, then an MLP; each is added to its input, and the sum normalised.

    Input (batch, length, width), output (batch, readers, width).

    Args:
        attention: the `SelfAttention`, named "attention".
        mlp: the `Mlp`, named "mlp".
        epsilon: of both layer norms.
    """

    def __init__(self, attention, mlp, epsilon, **kwargs):
        super().__init__(**kwargs)
        self.attention = attention
        self.attention_norm = LayerNorm(epsilon=epsilon, name="attention_norm")
        self.mlp = mlp
        self.mlp_norm = LayerNorm(epsilon=epsilon, name="mlp_norm")

    def build(self, shape):
        """Build the four parts for inputs of `shape`."""
        self.attention.build(shape)
        self.attention_norm.build(shape)
        self.mlp.build(shape)
        self.mlp_norm.build(shape)

    def call(
        self,
        tokens,
        training=None,
        readers=None,
        packing=UNPACKED,
        cache=None,
        **seen,
    ):
        """Run the block.

        Args:
            tokens: (batch, length, width).
            training: whether to drop.
            readers: only the first so many tokens are worked out, or if negative the
                last, and come out in rows; None: all, as they lie.
            packing: how `tokens` lie.
            cache: the attention's, if it takes one.
            **seen: what else the attention is given, such as `bias`.
        """
        if cache is not None:
            seen["cache"] = cache
        attended = self.attention(
            tokens, training=training, readers=readers, packing=packing, **seen
        )
        if readers is not None:
            tokens = packing.rows(tokens, readers)
        attended = adapted(
            self.attention_adapter, attended, tokens, self.attention_norm, training
        )
        tokens = self.attention_norm(tokens + attended)
        outputs = self.mlp(tokens, training=training)
        outputs = adapted(self.mlp_adapter, outputs, tokens, self.mlp_norm, training)
        return self.mlp_norm(tokens + outputs)


class PreNormBlock(AdaptableBlock):
    """Attention, then an MLP, each of normalised input and added to what it was given.

    Input (batch, length, width), output (batch, readers, width).

    Args:
        attention: a `SelfAttention`, named "attention".
        mlp: a layer, named "mlp".
        norm: name -> a layer norm; the two are made by it.
        norm_first: whether the attention's input is normalised, too.

    Source: Xiong et al. 2020 (arXiv:2002.04745).
    """

    def __init__(self, attention, mlp, norm, norm_first=True, **kwargs):
        super().__init__(**kwargs)
        self.attention_norm = norm("attention_norm") if norm_first else None
        self.attention = attention
        self.mlp_norm = norm("mlp_norm")
        self.mlp = mlp

    def build(self, shape):
        """Build the parts for inputs of `shape`."""
        if self.attention_norm is not None:
            self.attention_norm.build(shape)
        for part in (self.attention, self.mlp_norm, self.mlp):
            part.build(shape)

    def call(
        self,
        tokens,
        training=None,
        readers=None,
        packing=UNPACKED,
        cache=None,
        **seen,
    ):
        """Run the block; arguments as of `Block`, and the attention's `cache`."""
        normed = tokens
        if self.attention_norm is not None:
            normed = self.attention_norm(tokens)
        attended = self.attention(
            normed,
            training=training,
            readers=readers,
            packing=packing,
            cache=cache,
            **seen,
        )
        if readers is not None:
            tokens = packing.rows(tokens, readers)
        tokens = tokens + adapted(
            self.attention_adapter, attended, tokens, None, training
        )
        outputs = self.mlp(self.mlp_norm(tokens), training=training)
        return tokens + adapted(self.mlp_adapter, outputs, tokens, None, training)


def adapted(adapter, outputs, inputs, norm, training):
    """What an adapter makes of the outputs of a part; without one they stay.

    Args:
        adapter: the small layer that stands there, or None.
        outputs: (batch, length, width), of the attention or the MLP.
        inputs: what they will be added to, of the same shape.
        norm: the norm of that sum; None where it is not normalised.
        training: whether to drop.
    """
    if adapter is None:
        return outputs
    return adapter(outputs, inputs=inputs, norm=norm, training=training)
