"""Tokens one behind the other give what padded rows give."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from tensorflow_or_skip import tf
from tiny_tasks import save_tiny_bert

import kerasft as kft
from kerasft.layers.packing import UNPACKED, Packing, packed_tokens, packing_of


@given(st.lists(st.integers(1, 5), min_size=1, max_size=4), st.booleans())
def test_tokens_come_back_to_their_places(lengths, padded_on_the_left):
    mask = (np.arange(5) < np.array(lengths)[:, None]).astype("int32")
    if padded_on_the_left:
        mask = mask[:, ::-1].copy()
    rows = np.random.default_rng(0).normal(size=(*mask.shape, 3)).astype("float32")
    packing = Packing(mask)
    tokens = packing.packed(rows)
    assert tokens.shape == (1, sum(lengths), 3)
    assert_array_equal(np.asarray(packing.rows(tokens))[mask > 0], rows[mask > 0])
    assert_array_equal(packing.rows(tokens, 2), packing.rows(tokens)[:, :2])


def test_tokens_are_packed_on_demand_alone():
    mask = np.ones((1, 2), "int32")
    assert packing_of(mask) is UNPACKED
    with packed_tokens():
        assert packing_of(None) is UNPACKED
        assert isinstance(packing_of(mask), Packing)
    assert packing_of(mask) is UNPACKED


@pytest.mark.parametrize("readers", [None, 1, 2])
def test_a_packed_backbone_gives_the_states_of_a_padded_one(readers, tmp_path):
    folder = save_tiny_bert(tmp_path, num_layers=2)
    backbone = kft.TextClassifier.from_pretrained(folder, labels=("a", "b")).backbone
    mask = np.array([[1] * 7, [1] * 3 + [0] * 4, [1] + [0] * 6], "int32")
    inputs = {
        "input_ids": np.random.default_rng(0).integers(5, 20, mask.shape),
        "attention_mask": mask,
    }
    expected = backbone(inputs, readers=readers)
    with packed_tokens():
        found = tf.function(backbone)(inputs, readers=readers)
    real = mask[:, :readers] > 0
    assert_allclose(found[real], expected[real], atol=2e-6)
