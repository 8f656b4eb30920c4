"""Who sees whom: padding, packed rows, rows that see nothing."""

import keras
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from kerasft.layers.attention import SelfAttention, attention_bias
from kerasft.layers.initializer import normal


def new_attention(dropout=0.0):
    layer = SelfAttention(4, dropout, dropout, normal(0.3), name="attention")
    layer.build((None, None, 16))
    return layer


def tokens(*shape):
    return np.random.default_rng(0).normal(size=shape).astype("float32")


def test_attention_equals_torch():
    layer, x = new_attention(), tokens(2, 7, 16)
    reference = torch.nn.MultiheadAttention(16, 4, batch_first=True)
    projections = [layer.q_proj, layer.k_proj, layer.v_proj]
    kernels = [np.asarray(p.kernel).T for p in projections]
    with torch.no_grad():
        reference.in_proj_weight.copy_(torch.tensor(np.concatenate(kernels)))
        reference.in_proj_bias.zero_()
        reference.out_proj.weight.copy_(torch.tensor(np.asarray(layer.o_proj.kernel).T))
        reference.out_proj.bias.zero_()
    mask = np.arange(7) < np.array([[7], [4]])
    value = torch.tensor(x)
    hidden = torch.tensor(~mask)
    expected = reference(value, value, value, key_padding_mask=hidden)[0].detach()
    result = layer(x, bias=attention_bias(mask))
    assert_allclose(np.asarray(result)[mask], expected.numpy()[mask], atol=1e-6)


def test_nothing_to_hide_needs_no_bias():
    assert attention_bias() is None


def test_a_hidden_token_has_exactly_no_influence():
    layer, x = new_attention(), tokens(1, 6, 16)
    bias = attention_bias(np.array([[1, 1, 1, 1, 0, 0]]))
    changed = x.copy()
    changed[:, 4:] = 100.0
    first, second = (
        np.asarray(layer(x, bias=bias)),
        np.asarray(layer(changed, bias=bias)),
    )
    assert (first[:, :4] == second[:, :4]).all()


@pytest.mark.parametrize("policy", ["float32", "mixed_float16", "mixed_bfloat16"])
def test_a_row_that_sees_nothing_stays_finite(policy):
    keras.config.set_dtype_policy(policy)
    try:
        layer = new_attention()
        states = layer(tokens(1, 3, 16), bias=attention_bias(np.zeros((1, 3), "int32")))
    finally:
        keras.config.set_dtype_policy("float32")
    assert np.isfinite(np.asarray(keras.ops.cast(states, "float32"))).all()


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(0, 3), min_size=1, max_size=8))
def test_tokens_of_packed_rows_see_their_own_example_alone(ids):
    ids = np.array([ids])
    visible = np.asarray(attention_bias(sequence_ids=ids))[0, 0] == 0
    expected = (ids.T == ids) & (ids > 0)
    assert (visible == expected).all()


def test_a_mask_and_packed_rows_hide_together():
    ids = np.array([[1, 1, 2, 0]])
    mask = np.array([[1, 0, 1, 1]])
    visible = np.asarray(attention_bias(mask, ids))[0, 0] == 0
    assert visible.tolist() == [
        [True, False, False, False],
        [True, False, False, False],
        [False, False, True, False],
        [False, False, False, False],
    ]


def test_dropout_acts_in_training_alone():
    layer, x = new_attention(dropout=0.5), tokens(1, 5, 16)
    still = np.asarray(layer(x))
    assert_allclose(layer(x, training=False), still, rtol=0)
    assert np.abs(np.asarray(layer(x, training=True)) - still).max() > 1e-3
