"""Multi-head self-attention, and the mask that says who may look at whom.

The mask is an addend for the scores, made once per batch by `attention_bias` and
given to every block. The softmax is float32 whatever the dtype policy: in half
precision it loses the small probabilities.

Source: Vaswani et al. 2017, section 3.2 (arXiv:1706.03762).
"""

from functools import partial

import keras
from keras import ops

from kerasft.layers.dense import Dense
from kerasft.layers.dropout import Dropout
from kerasft.layers.folding import foldable, folded_mix, folded_scores
from kerasft.layers.mixing import mixed, scores_of
from kerasft.layers.packing import UNPACKED, of_readers

# exp() of it is 0. Not the smallest float32: Keras casts what a layer is given to the
# compute dtype, and there it would be -inf, and NaN in a row that may see nothing.
HIDDEN = -30_000.0


def attention_bias(attention_mask=None, sequence_ids=None, within=None):
    """Addend for attention scores: 0 where a token may be seen, else very negative.

    Args:
        attention_mask: (batch, length), 1 = token, 0 = padding; or None.
        sequence_ids: (batch, length), which example of a packed row a token belongs
            to, 0 = padding; or None. Tokens see their own example alone.
        within: bool (readers, length), which places a place may see: `near` or `before`
            it; or None.

    Returns:
        float32 (batch, 1, 1 or readers, length), or None where nothing is hidden.
    """
    visible = None
    if attention_mask is not None:
        visible = ops.cast(attention_mask, "bool")[:, None, None, :]
    if sequence_ids is not None:
        same = ops.equal(sequence_ids[:, None, :, None], sequence_ids[:, None, None, :])
        same = ops.logical_and(same, sequence_ids[:, None, None, :] > 0)
        visible = same if visible is None else ops.logical_and(visible, same)
    if within is not None:
        within = within[None, None]
        visible = within if visible is None else ops.logical_and(visible, within)
    if visible is None:
        return None
    return ops.where(visible, 0.0, HIDDEN)


def near(length, reach):
    """Places no farther than `reach` to either side: bool (length, length)."""
    places = ops.arange(length)
    return ops.absolute(places[:, None] - places) <= reach


def before(length, window=None, first=0, readers=None):
    """A place itself and those before it: bool (readers, length).

    Args:
        length: places that may be seen.
        window: the most places that are seen, the own one included; None: all.
        first: the place of the first reader.
        readers: how many; None: all `length`.
    """
    places = ops.arange(length)
    own = first + ops.arange(length if readers is None else readers)[:, None]
    visible = places <= own
    if window is not None:
        visible = ops.logical_and(visible, places > own - window)
    return visible


class SelfAttention(keras.layers.Layer):
    """Each token becomes a weighted mean of the tokens it may see.

    Input (batch, length, width), output (batch, readers, width).

    Args:
        num_heads: heads; they share the width evenly.
        attention_dropout: share of attention weights dropped.
        dropout: share of the output dropped.
        initializer: of the four kernels.
    """

    def __init__(
        self, num_heads, attention_dropout, dropout, initializer="zeros", **kwargs
    ):
        super().__init__(**kwargs)
        self.num_heads = num_heads
        self.initializer = initializer
        self.attention_dropout = Dropout(attention_dropout, name="attention_dropout")
        self.dropout = Dropout(dropout, name="dropout")

    def build(self, shape):
        """Build the four projections for inputs of `shape`."""
        self.width = shape[-1]
        for name in ("q_proj", "k_proj", "v_proj", "o_proj"):
            layer = Dense(self.width, kernel_initializer=self.initializer, name=name)
            setattr(self, name, layer)
            layer.build(shape)

    def call(
        self,
        tokens,
        bias=None,
        training=None,
        readers=None,
        packing=UNPACKED,
        cache=None,
    ):
        """Attend.

        Args:
            tokens: (batch, length, width), what is looked at.
            bias: what `attention_bias` gives.
            training: whether to drop.
            readers: the first so many tokens alone look; None: all of them. These
                come out in rows, whatever went in.
            packing: how `tokens` lie.
            cache: a `Prefix`, which is looked at, too, and told of by `bias`; or None.
        """
        rows = packing.rows
        queries = self._queries(tokens, readers, packing)
        queries = queries * (self.width // self.num_heads) ** -0.5
        if cache is None and self._folds(readers):
            tokens = rows(tokens)
            scores = folded_scores(queries, tokens, self.k_proj)
            weights = self._weights(scores, bias, training, readers)
            mixed = folded_mix(weights, tokens, self.v_proj)
        else:
            keys = self._heads(rows(self.k_proj(tokens)), (0, 2, 1, 3))
            values = self._heads(rows(self.v_proj(tokens)), (0, 2, 1, 3))
            if cache is not None:
                keys, values = cache.extended(keys, values)
            mixed = self._mixed(queries, keys, values, bias, training, readers)
        return self._output(mixed, training, readers, packing)

    def _folds(self, readers):
        """Whether so few tokens look that their queries cost less than all the keys."""
        few = readers is not None and 2 * readers * self.num_heads <= self.width
        return few and foldable(self.k_proj, self.v_proj)

    def _queries(self, tokens, readers, packing):
        """Queries of the readers, (batch, heads, readers, size)."""
        if readers is None:
            queries = packing.rows(self.q_proj(tokens))
        else:
            queries = self.q_proj(packing.rows(tokens, readers))
        return self._heads(queries, (0, 2, 1, 3))

    def _mixed(self, queries, keys, values, bias, training, readers):
        """Values mixed by attention weights, (batch, heads, readers, size).

        Args:
            queries: (batch, heads, readers, size), scaled.
            keys, values: (batch, heads, length, size).
            bias, training, readers: as of `call`.
        """
        if training and keras.backend.backend() == "tensorflow":
            shape = (*ops.shape(queries)[:3], ops.shape(keys)[2])
            drop = self.attention_dropout.of_shape(shape)
            weigh = partial(self._softmax, bias=bias, readers=readers)
            return mixed(queries, keys, values, weigh, drop)
        scores = scores_of(queries, keys)
        return ops.matmul(self._weights(scores, bias, training, readers), values)

    def _weights(self, scores, bias, training, readers):
        """Attention weights of scores (batch, heads, readers, length), some dropped."""
        weights = ops.cast(self._softmax(scores, bias, readers), self.compute_dtype)
        return self.attention_dropout(weights, training=training)

    def _softmax(self, scores, bias, readers):
        """Attention weights, float32."""
        scores = ops.cast(scores, "float32")
        if bias is not None:
            scores = scores + ops.cast(of_readers(bias, readers, 2), "float32")
        return ops.softmax(scores)

    def _output(self, mixed, training, readers, packing):
        """What comes out for values mixed by head, (batch, heads, readers, size)."""
        mixed = ops.transpose(mixed, (0, 2, 1, 3))
        merged = ops.reshape(mixed, (-1, ops.shape(mixed)[1], self.width))
        if readers is None:
            merged = packing.packed(merged)
        return self.dropout(self.o_proj(merged), training=training)

    def _heads(self, tokens, axes):
        """Split the width: (batch, length, heads, width / heads), in order `axes`."""
        shape = (-1, ops.shape(tokens)[1], self.num_heads)
        split = ops.reshape(tokens, (*shape, self.width // self.num_heads))
        return ops.transpose(split, axes)
