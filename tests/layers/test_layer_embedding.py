"""Positions, segments, and tables narrower than the model."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import ops
from numpy.testing import assert_allclose, assert_array_equal
from transformers.models.roberta.modeling_roberta import RobertaEmbeddings

from kerasft.layers.embedding import (
    TokenEmbedding,
    positions_after_padding,
    positions_in_row,
    scores_of_rows,
)
from kerasft.layers.initializer import normal
from kerasft.layers.norm import norm_maker


def new_embedding(segments=2, width=8):
    layer = TokenEmbedding(
        (11, 5, segments),
        8,
        width,
        norm_maker(1e-12),
        0.0,
        normal(1.0),
        name="embedding",
    )
    layer.build((None, None))
    return layer


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(0, 3), min_size=1, max_size=9), st.integers(0, 3))
def test_positions_after_padding_equal_torchs(ids, pad):
    ids = np.array([ids])
    expected = RobertaEmbeddings.create_position_ids_from_input_ids(
        torch.tensor(ids), pad
    )
    assert_array_equal(positions_after_padding(ids, pad), expected.numpy())


def test_without_token_types_all_are_of_segment_0():
    layer, ids = new_embedding(), np.array([[1, 2, 3]])
    positions = positions_in_row(ids)
    expected = layer(ids, positions, np.zeros_like(ids))
    assert_allclose(layer(ids, positions), expected, rtol=0)


def test_each_embedded_token_is_normalised():
    states = np.asarray(new_embedding()(np.array([[1, 2]]), np.array([[0, 1]])))
    assert_allclose(states.mean(-1), 0, atol=1e-6)
    assert_allclose(states.var(-1), 1, atol=1e-5)


def test_parts_exist_only_where_they_are_needed():
    names = {weight.path.split("/")[1] for weight in new_embedding(segments=0).weights}
    assert names == {"token_embedding", "position_embedding", "embedding_norm"}
    wide = new_embedding(width=12)
    assert wide(np.array([[1]]), np.array([[0]])).shape == (1, 1, 12)
    assert "embedding/embedding_proj/kernel" in {w.path for w in wide.weights}


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("rows", [64, 70])
def test_scores_of_a_table_are_products_whatever_its_rows(rows, dtype):
    random = np.random.default_rng(rows)
    table = random.standard_normal((rows, 8)).astype("float32")
    states = random.standard_normal((2, 3, 8)).astype("float32")
    scores = scores_of_rows(ops.convert_to_tensor(table), ops.cast(states, dtype))
    assert scores.shape == (2, 3, rows)
    rounded = [
        np.array(ops.cast(ops.cast(a, dtype), "float32")) for a in (table, states)
    ]
    wanted = rounded[1] @ rounded[0].T
    gap = 1e-5 if dtype == "float32" else 3e-2
    assert_allclose(ops.cast(scores, "float32"), wanted, rtol=gap, atol=gap)
