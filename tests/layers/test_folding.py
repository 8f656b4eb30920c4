"""One reader's attention without keys and values equals attention with them."""

import keras
import numpy as np
import pytest
from numpy.testing import assert_allclose
from tensorflow_or_skip import tf

from kerasft.layers.attention import SelfAttention, attention_bias
from kerasft.layers.dense import Dense
from kerasft.layers.folding import foldable
from kerasft.layers.initializer import normal
from kerasft.layers.packing import Packing


def new_attention(dropout=0.0):
    layer = SelfAttention(2, dropout, 0.0, normal(0.3), name="attention")
    layer.build((None, None, 16))
    random = np.random.default_rng(1)
    for weight in layer.trainable_variables:
        if weight.name == "bias":  # They start at 0, where a lost one goes unseen.
            weight.assign(random.normal(size=weight.shape))
    return layer


def tokens():
    return np.random.default_rng(0).normal(size=(3, 7, 16)).astype("float32")


MASK = (np.arange(7) < np.array([[7], [4], [1]])).astype("int32")


def first_state(layer, monkeypatch, fold, **options):
    """(batch, 1, width) of the first token, and what a loss of it gives the weights."""
    monkeypatch.setattr(layer, "_folds", lambda readers: fold)
    x = tf.constant(tokens())
    with tf.GradientTape() as tape:
        tape.watch(x)
        state = layer(x, bias=attention_bias(MASK), readers=1, **options)
        loss = tf.reduce_sum(tf.sin(state))
    weights = [weight.value for weight in layer.trainable_variables]
    return state, tape.gradient(loss, [x, *weights])


@pytest.mark.parametrize("dropout", [0.0, 0.5])
def test_states_and_gradients_are_those_of_keys_and_values(monkeypatch, dropout):
    runs = []
    for fold in (True, False):
        keras.utils.set_random_seed(0)
        layer = new_attention(dropout)
        runs.append(first_state(layer, monkeypatch, fold, training=True))
    (state, gradients), (expected, expected_gradients) = runs
    assert_allclose(state, expected, atol=1e-6)
    for one, other in zip(gradients, expected_gradients, strict=True):
        assert_allclose(one, other, rtol=1e-5, atol=1e-5)


def test_packed_tokens_give_the_same(monkeypatch):
    layer, packing = new_attention(), Packing(MASK)
    expected, _ = first_state(layer, monkeypatch, True)
    packed = packing.packed(tokens())
    bias = attention_bias(MASK)
    state = layer(packed, bias=bias, readers=1, packing=packing)
    assert_allclose(np.asarray(state), np.asarray(expected), atol=1e-6)


def test_few_readers_fold_and_many_do_not():
    layer = new_attention()
    assert layer._folds(1)
    assert layer._folds(4)
    assert not layer._folds(5)
    assert not layer._folds(None)


def test_a_projection_with_more_than_kernel_and_bias_is_not_folded():
    plain, lora, int8, adapted = (Dense(16) for _ in range(4))
    for layer in (plain, lora, int8, adapted):
        layer.build((None, 16))
    lora.enable_lora(2)
    int8.quantize("int8", type_check=False)
    object.__setattr__(adapted, "adapter", keras.layers.Identity())
    assert foldable(plain)
    assert not foldable(plain, lora)
    assert not foldable(int8)
    assert not foldable(adapted)


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_half_precision_stays_half(policy):
    keras.config.set_dtype_policy(policy)
    try:
        layer = new_attention()
        state = layer(tokens(), bias=attention_bias(MASK), readers=1)
    finally:
        keras.config.set_dtype_policy("float32")
    assert keras.backend.standardize_dtype(state.dtype) == layer.compute_dtype
    assert np.isfinite(np.asarray(keras.ops.cast(state, "float32"))).all()
