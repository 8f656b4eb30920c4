"""Self-attention whose queries, keys and values come from one projection.

The projection stays one layer, as the checkpoints have it (GPT-2's `c_attn`,
ModernBERT's `Wqkv`): adapters of theirs belong to the whole of it.

Source: Radford et al. 2019, "Language Models are Unsupervised Multitask Learners", for
GPT-2; the formula is that of `SelfAttention`.
"""

from keras import ops

from kerasft.layers.attention import SelfAttention
from kerasft.layers.dense import Dense
from kerasft.layers.packing import UNPACKED, of_readers
from kerasft.layers.rotary import turned


class FusedAttention(SelfAttention):
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
        scale: factor of the scores; None: 1 / sqrt(size of a head).
    """

    def __init__(
        self,
        num_heads,
        attention_dropout,
        dropout,
        use_bias,
        initializer="zeros",
        output_initializer="zeros",
        scale=None,
        **kwargs,
    ):
        super().__init__(num_heads, attention_dropout, dropout, initializer, **kwargs)
        self.use_bias = use_bias
        self.output_initializer = output_initializer
        self.scale = scale

    def build(self, shape):
        """Build both projections for inputs of `shape`."""
        self.width = shape[-1]
        self.qkv_proj = Dense(
            3 * self.width,
            use_bias=self.use_bias,
            kernel_initializer=self.initializer,
            name="qkv_proj",
        )
        self.o_proj = Dense(
            self.width,
            use_bias=self.use_bias,
            kernel_initializer=self.output_initializer,
            name="o_proj",
        )
        self.qkv_proj.build(shape)
        self.o_proj.build(shape)

    def call(
        self,
        tokens,
        turn=None,
        bias=None,
        training=None,
        readers=None,
        packing=UNPACKED,
        cache=None,
    ):
        """Attend.

        Args:
            tokens: (batch, length, width), what is looked at.
            turn: what `rotation` gives; None: queries and keys are not turned.
            bias: what `attention_bias` gives.
            training: whether to drop.
            readers: the first so many tokens alone look, or if negative the last; None:
                all of them. These come out in rows, whatever went in.
            packing: how `tokens` lie.
            cache: a `LayerCache` of earlier tokens, or a `Prefix`, whose keys are not
                turned; looked at, too; or None.
        """
        queries, keys, values = self._parts(packing.rows(self.qkv_proj(tokens)))
        if turn is not None:
            queries, keys = turned(queries, *turn), turned(keys, *turn)
        queries = of_readers(queries, readers, 2)
        if cache is not None:
            keys, values = cache.extended(keys, values)
        queries = queries * (
            queries.shape[-1] ** -0.5 if self.scale is None else self.scale
        )
        mixed = self._mixed(queries, keys, values, bias, training, readers)
        return self._output(mixed, training, readers, packing)

    def _parts(self, together):
        """Queries, keys and values, each (batch, heads, length, size)."""
        size = self.width // self.num_heads
        if together.shape[1] == 1:  # One token is in its place already.
            return [
                ops.reshape(part, (-1, self.num_heads, 1, size))
                for part in ops.split(together, 3, axis=-1)
            ]
        shape = (-1, ops.shape(together)[1], 3, self.num_heads, size)
        parts = ops.transpose(ops.reshape(together, shape), (2, 0, 3, 1, 4))
        return parts[0], parts[1], parts[2]
