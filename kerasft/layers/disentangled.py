"""Attention to content and to distance, each with projections of their own.

The score of a pair is the sum of what the query's content finds in the key's content,
in their distance ("c2p"), and what the distance finds in the key's content ("p2c").
Distances are few, 2 x length - 1, so these products are made once for each distance and
then shifted into place: no gather, whose gradient is slow everywhere.

Source: He et al. 2020, "DeBERTa" (arXiv:2006.03654), section 3.1; log buckets and
shared projections as in version 2 of its code and in He et al. 2021 (arXiv:2111.09543).
"""

import keras
import numpy as np
from keras import ops

from kerasft.layers.attention import SelfAttention
from kerasft.layers.dense import Embedding
from kerasft.layers.dropout import Dropout
from kerasft.layers.packing import UNPACKED


def distance_rows(buckets, farthest):
    """Row of the distance table for each distance from -2·farthest to 2·farthest.

    Args:
        buckets: so many rows for each direction, near distances one each and far ones
            by their logarithm; 0 or less: a row for every distance.
        farthest: the distance from which on all are the same.

    Returns:
        int32 (4·farthest + 1,), from 0 to twice the rows of a direction - 1.
    """
    distances = np.arange(-2 * farthest, 2 * farthest + 1)
    rows, span = distances, farthest
    if buckets > 0:
        middle, span = buckets // 2, buckets
        far = np.maximum(np.abs(distances), middle).astype("float32")
        # In float32, as the reference: a rounding decides on which side ceil() falls.
        share = np.log(far / np.float32(middle))
        share = share / np.log(np.float32((farthest - 1) / middle))
        bucket = np.ceil(share * np.float32(middle - 1)) + middle
        near = np.abs(distances) <= middle
        rows = np.where(near, distances, np.sign(distances) * bucket)
    return np.clip(rows + span, 0, 2 * span - 1).astype("int32")


def shifted(by_distance, length):
    """Scores (..., rows, 2·length - 1) of key - row from -(length - 1) on, in place.

    Returns:
        (..., rows, length): of row r and key k what stood at k - r + length - 1.
    """
    shape = ops.shape(by_distance)
    rows = shape[-2]
    padded = ops.pad(by_distance, [(0, 0)] * (len(shape) - 1) + [(0, 1)])
    flat = ops.reshape(padded, (*shape[:-2], rows * 2 * length))
    flat = ops.pad(flat, [(0, 0)] * (len(shape) - 2) + [(0, length)])
    # One place less in each row moves every row by one against that before it.
    flat = flat[..., length - 1 : length - 1 + rows * (2 * length - 1)]
    return ops.reshape(flat, (*shape[:-2], rows, 2 * length - 1))[..., :length]


class DisentangledAttention(SelfAttention):
    """As `SelfAttention`, with terms for the distance of two tokens.

    Distances are projected by the same layers as tokens.

    Args:
        num_heads: heads; they share the width evenly.
        attention_dropout: share of attention weights dropped.
        dropout: share of the output dropped, and of the distances' vectors.
        terms: of "c2p" and "p2c".
        initializer: of the four kernels.
    """

    def __init__(
        self,
        num_heads,
        attention_dropout,
        dropout,
        terms,
        initializer="zeros",
        **kwargs,
    ):
        super().__init__(num_heads, attention_dropout, dropout, initializer, **kwargs)
        self.terms = tuple(terms)
        self.distance_dropout = Dropout(dropout, name="distance_dropout")

    def call(
        self,
        tokens,
        distances,
        bias=None,
        training=None,
        readers=None,
        packing=UNPACKED,
    ):
        """Attend; arguments as of `SelfAttention`.

        Args:
            tokens: (batch, length, width).
            distances: (1, 2·length - 1, width), vectors of the distances query - key
                from -(length - 1) on.
            bias: what `attention_bias` gives.
            training: whether to drop.
            readers: the first so many tokens alone look; None: all of them.
            packing: how `tokens` lie.
        """
        rows = packing.rows
        scale = ((self.width // self.num_heads) * (1 + len(self.terms))) ** -0.5
        queries = self._queries(tokens, readers, packing) * scale
        keys = self._heads(rows(self.k_proj(tokens)), (0, 2, 3, 1))
        values = self._heads(rows(self.v_proj(tokens)), (0, 2, 1, 3))
        distances = self.distance_dropout(distances, training=training)
        scores = ops.matmul(queries, keys)
        scores = scores + self._distance_scores(queries, keys, distances, scale)
        weights = self._weights(scores, bias, training, readers)
        return self._output(ops.matmul(weights, values), training, readers, packing)

    def _distance_scores(self, queries, keys, distances, scale):
        """Terms of the score that know the distance, (batch, heads, readers, length).

        Args:
            queries: (batch, heads, readers, size), scaled.
            keys: (batch, heads, size, length).
            distances: (1, 2·length - 1, width), of query - key.
            scale: of the products.
        """
        length, scores = ops.shape(keys)[3], 0.0
        if "c2p" in self.terms:
            # Of key - query, from the lowest: the other way round.
            vectors = self._heads(self.k_proj(distances), (0, 2, 3, 1))
            vectors = ops.flip(vectors, axis=-1)
            scores = scores + shifted(ops.matmul(queries, vectors), length)
        if "p2c" in self.terms:
            vectors = self._heads(self.q_proj(distances), (0, 2, 3, 1)) * scale
            found = ops.matmul(ops.transpose(keys, (0, 1, 3, 2)), vectors)
            found = shifted(found, length)[..., : ops.shape(queries)[2]]
            scores = scores + ops.transpose(found, (0, 1, 3, 2))
        return scores


class DistanceEmbedding(keras.layers.Layer):
    """Vectors of the distances between two tokens of a row.

    Args:
        buckets: as of `distance_rows`.
        farthest: as of `distance_rows`.
        width: of the vectors.
        norm: name -> a layer norm over them, or None for none.
        initializer: of the table.
    """

    def __init__(self, buckets, farthest, width, norm, initializer="zeros", **kwargs):
        super().__init__(**kwargs)
        self.rows, self.farthest = distance_rows(buckets, farthest), farthest
        size = 2 * (buckets if buckets > 0 else farthest)
        self.table = Embedding(size, width, initializer, name="table")
        self.table_norm = norm("table_norm") if norm else None
        self.width = width

    def build(self, shape=None):
        """Build table and norm."""
        self.table.build((None,))
        if self.table_norm is not None:
            self.table_norm.build((None, self.width))

    def call(self, input_ids):
        """(1, 2·length - 1, width), of the distances from -(length - 1) on.

        Args:
            input_ids: (batch, length).
        """
        length = ops.shape(input_ids)[1]
        distances = ops.arange(2 * length - 1) - (length - 1)
        farthest = 2 * self.farthest
        places = ops.clip(distances, -farthest, farthest) + farthest
        vectors = self.table(ops.take(ops.convert_to_tensor(self.rows), places))
        if self.table_norm is not None:
            vectors = self.table_norm(vectors)
        return vectors[None]
