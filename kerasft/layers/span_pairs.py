"""Logits of pairs of tokens: where mentions begin and end, and how they are linked.

Sources: Su et al. 2022, "Global Pointer" (arXiv:2208.03054), sections 3.1 and 3.2, for
the scores; Su 2022, "GPLinker" (kexue.fm/archives/8888), for triples as three of them.
"""

import keras
from keras import ops

from kerasft.layers.attention import HIDDEN
from kerasft.layers.dense import Dense
from kerasft.layers.dropout import Dropout
from kerasft.layers.rotary import rotation, turned, usual_speeds

THETA = 10_000.0


class GlobalPointer(keras.layers.Layer):
    """A logit for each ordered pair of tokens and each class, all at once.

    Classes share one query and one key of each token; what tells them apart is a linear
    function of these (the "efficient" form).
    Input: (batch, length, width), and a mask (batch, length), 1 = token, or None.
    Output: (batch, classes, length, length), very negative where there is no token.

    Args:
        classes: logits of a pair.
        size: features of a query.
        spans: whether a pair is a span, first and last token: then a query and a key
            know how far apart they are, and the second is not before the first.
        initializer: of both kernels.
    """

    def __init__(self, classes, size, spans, initializer, **kwargs):
        super().__init__(**kwargs)
        self.classes, self.size, self.spans = classes, size, spans
        self.dense = Dense(2 * size, kernel_initializer=initializer, name="dense")
        self.bias = Dense(2 * classes, kernel_initializer=initializer, name="bias")

    def build(self, shape):
        """Build for hidden states of `shape`."""
        self.dense.build(shape)
        self.bias.build((*shape[:-1], 2 * self.size))

    def call(self, hidden_states, attention_mask=None):
        """Score all pairs."""
        both = self.dense(hidden_states)
        length = ops.shape(both)[1]
        queries, keys = both[..., : self.size], both[..., self.size :]
        if self.spans:
            turn = rotation(ops.arange(length)[None], usual_speeds(self.size, THETA))
            queries, keys = (turned(x[:, None], *turn)[:, 0] for x in (queries, keys))
        products = ops.matmul(queries, ops.transpose(keys, (0, 2, 1)))
        bias = ops.transpose(self.bias(both), (0, 2, 1))
        firsts, seconds = bias[:, : self.classes], bias[:, self.classes :]
        logits = (products * self.size**-0.5)[:, None]
        logits = logits + firsts[..., None] + seconds[:, :, None]
        visible = self._visible(attention_mask, length)
        return logits if visible is None else ops.where(visible, logits, HIDDEN)

    def _visible(self, attention_mask, length):
        """Bool, which pairs there are, or None: all."""
        visible = None
        if attention_mask is not None:
            real = ops.cast(attention_mask, "bool")
            visible = ops.logical_and(real[:, None, :, None], real[:, None, None])
        if self.spans:
            places = ops.arange(length)
            forward = (places[:, None] <= places)[None, None]
            visible = forward if visible is None else ops.logical_and(visible, forward)
        return visible


class TripleHead(keras.layers.Layer):
    """Logits of mentions, and of links between their first and their last tokens.

    Input: (batch, length, width). Output: (batch, 2 + 2 relations, length, length):
    spans of subjects, spans of objects; of each relation, first token of the subject to
    first token of the object; of each relation, the same of the last tokens.

    Args:
        relations: kinds of links.
        dropout: share of the input dropped.
        initializer: of all kernels.
        size: features of a query.
    """

    readers = None

    def __init__(self, relations, dropout, initializer, size=64, **kwargs):
        super().__init__(**kwargs)
        self.dropout = Dropout(dropout, name="dropout")
        self.mentions = GlobalPointer(2, size, True, initializer, name="mentions")
        self.starts = GlobalPointer(relations, size, False, initializer, name="starts")
        self.ends = GlobalPointer(relations, size, False, initializer, name="ends")

    def build(self, shape):
        """Build for hidden states of `shape`."""
        for pointer in (self.mentions, self.starts, self.ends):
            pointer.build(shape)

    def call(self, hidden_states, training=None, attention_mask=None):
        """Score all pairs of tokens."""
        hidden_states = self.dropout(hidden_states, training=training)
        pointers = (self.mentions, self.starts, self.ends)
        return ops.concatenate(
            [pointer(hidden_states, attention_mask) for pointer in pointers], axis=1
        )
