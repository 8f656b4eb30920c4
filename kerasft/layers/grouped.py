"""Self-attention in which several heads of queries share keys and values.

Fewer keys and values are kept for tokens to come, which is what generation waits for.

Source: Ainslie et al. 2023 (arXiv:2305.13245), section 2.2; norms of queries and keys:
Yang et al. 2025, "Qwen3 Technical Report" (arXiv:2505.09388), section 2.
"""

from keras import ops

from kerasft.layers.attention import SelfAttention
from kerasft.layers.dense import Dense
from kerasft.layers.norm import RmsNorm
from kerasft.layers.packing import UNPACKED, of_readers
from kerasft.layers.rotary import turned


class GroupedAttention(SelfAttention):
    """Each token becomes a weighted mean of the tokens it may see.

    Input (batch, length, width), output (batch, readers, width).

    Args:
        heads: how many of queries, and how many of keys and values.
        size: features of a head.
        attention_dropout: share of attention weights dropped.
        biases: whether the projections to queries, keys and values have biases, and
            whether the one of the output has.
        norm_epsilon: of the norms of queries and keys; None: there are none.
        initializer: of the four kernels.
    """

    def __init__(
        self,
        heads,
        size,
        attention_dropout,
        biases=(False, False),
        norm_epsilon=None,
        initializer="zeros",
        **kwargs,
    ):
        super().__init__(heads[0], attention_dropout, 0.0, initializer, **kwargs)
        self.num_kv_heads = heads[1]
        self.size = size
        self.width = heads[0] * size  # Of all heads; the tokens' may be another.
        self.biases = biases
        self.q_norm = self.k_norm = None
        if norm_epsilon is not None:
            self.q_norm = RmsNorm(norm_epsilon, name="q_norm")
            self.k_norm = RmsNorm(norm_epsilon, name="k_norm")

    def build(self, shape):
        """Build projections and norms for inputs of `shape`."""
        shared = self.num_kv_heads * self.size
        widths = {"q_proj": self.width, "k_proj": shared, "v_proj": shared}
        for name, units in {**widths, "o_proj": shape[-1]}.items():
            layer = Dense(
                units,
                use_bias=self.biases[name == "o_proj"],
                kernel_initializer=self.initializer,
                name=name,
            )
            layer.build(shape if name in widths else (*shape[:-1], self.width))
            setattr(self, name, layer)
        for norm in (self.q_norm, self.k_norm):
            if norm is not None:
                norm.build((*shape[:-1], self.size))

    def call(
        self,
        tokens,
        turn,
        bias=None,
        training=None,
        readers=None,
        packing=UNPACKED,
        cache=None,
    ):
        """Attend; arguments as of `FusedAttention`."""
        rows = packing.rows
        queries = self._split(rows(self.q_proj(tokens)), self.num_heads, self.q_norm)
        keys = self._split(rows(self.k_proj(tokens)), self.num_kv_heads, self.k_norm)
        values = self._split(rows(self.v_proj(tokens)), self.num_kv_heads)
        queries, keys = turned(queries, *turn), turned(keys, *turn)
        queries = of_readers(queries, readers, 2)
        if cache is not None:
            keys, values = cache.extended(keys, values)
        grouped = self._grouped(queries * self.size**-0.5)
        mixed = self._mixed(grouped, keys, values, bias, training, readers)
        return self._output(self._by_head(mixed), training, readers, packing)

    def _softmax(self, scores, bias, readers):
        """The same of grouped heads."""
        by_head = super()._softmax(self._by_head(scores), bias, readers)
        return self._grouped(by_head)

    def _split(self, tokens, heads, norm=None):
        """(batch, heads, length, size) of (batch, length, heads x size)."""
        shape = (-1, ops.shape(tokens)[1], heads, self.size)
        split = ops.reshape(tokens, shape)
        split = split if norm is None else norm(split)
        return ops.transpose(split, (0, 2, 1, 3))

    def _grouped(self, by_head):
        """The heads of a group behind one another: (batch, groups, some, features)."""
        group = self.num_heads // self.num_kv_heads
        _, _, length, features = ops.shape(by_head)
        shape = (-1, self.num_kv_heads, group * length, features)
        return ops.reshape(by_head, shape)

    def _by_head(self, grouped):
        """Back: (batch, heads, length, features)."""
        group = self.num_heads // self.num_kv_heads
        _, _, some, features = ops.shape(grouped)
        return ops.reshape(grouped, (-1, self.num_heads, some // group, features))
