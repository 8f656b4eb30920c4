"""Attention whose weights are made again on the way back: same numbers, less kept."""

import subprocess
import sys

import keras
import numpy as np
import pytest
from keras import ops
from numpy.testing import assert_allclose
from tensorflow_or_skip import tf

from kerasft.layers.attention import SelfAttention, attention_bias
from kerasft.layers.fused import FusedAttention
from kerasft.layers.grouped import GroupedAttention
from kerasft.layers.initializer import normal
from kerasft.layers.rotary import rotation

KINDS = {
    "self": lambda dropout: SelfAttention(4, dropout, 0.0, normal(0.3)),
    "fused": lambda dropout: FusedAttention(4, dropout, 0.0, True, normal(0.3)),
    "grouped": lambda dropout: GroupedAttention(
        (4, 2), 4, dropout, initializer=normal(0.3)
    ),
}


def keeping_all(self, queries, keys, values, bias, training, readers):
    """The formula with every gradient by TensorFlow."""
    scores = ops.einsum("bhqs,bhks->bhqk", queries, keys)
    return ops.matmul(self._weights(scores, bias, training, readers), values)


def values_and_gradients(kind, dropout, mode, dtype):
    keras.utils.set_random_seed(3)
    random = np.random.default_rng(0)
    x = tf.constant(random.normal(size=(3, 6, 16)), dtype)
    weighing = tf.constant(random.normal(size=(3, 6, 16)), dtype)
    layer = KINDS[kind](dropout)
    layer.build((None, None, 16))
    bias = attention_bias(np.arange(6) < np.array([[6], [4], [5]]))
    more = (
        {"turn": rotation(np.arange(6)[None], np.array([1.0, 0.5], "float32"))}
        if kind == "grouped"
        else {}
    )

    def step(x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = layer(x, bias=bias, training=True, **more)
            total = tf.reduce_sum(y * tf.cast(weighing, y.dtype))
        return y, tape.gradient(total, [x, *layer.trainable_variables])

    if mode != "eager":
        step = tf.function(step, jit_compile=mode == "xla")
    y, gradients = step(x)
    return [np.asarray(ops.cast(one, "float32")) for one in (y, *gradients)]


@pytest.mark.parametrize("mode", ["eager", "graph", "xla"])
@pytest.mark.parametrize("dropout", [0.0, 0.4])
@pytest.mark.parametrize("kind", KINDS)
def test_values_and_gradients_are_those_of_kept_weights(
    kind, dropout, mode, monkeypatch
):
    found = values_and_gradients(kind, dropout, mode, "float32")
    monkeypatch.setattr(SelfAttention, "_mixed", keeping_all)
    expected = values_and_gradients(kind, dropout, mode, "float32")
    for one, other in zip(found, expected, strict=True):
        assert_allclose(one, other, atol=2e-6 * max(1, np.abs(other).max()))


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_half_precision_is_as_near_as_with_kept_weights(policy, monkeypatch):
    keras.config.set_dtype_policy(policy)
    try:
        found = values_and_gradients("self", 0.4, "graph", "float16")
        monkeypatch.setattr(SelfAttention, "_mixed", keeping_all)
        expected = values_and_gradients("self", 0.4, "graph", "float16")
    finally:
        keras.config.set_dtype_policy("float32")
    for one, other in zip(found, expected, strict=True):
        assert_allclose(one, other, atol=0.02 * max(1, np.abs(other).max()))


@pytest.mark.parametrize("compiled", [False, True])
def test_an_empty_batch_has_gradients_of_zero(compiled):
    layer = KINDS["self"](0.1)
    layer.build((None, None, 16))

    @tf.function(jit_compile=compiled)
    def gradients(x):
        with tf.GradientTape() as tape:
            total = tf.reduce_sum(layer(x, training=True))
        return tape.gradient(total, layer.trainable_variables)

    for one in gradients(tf.zeros((0, 5, 16))):
        assert not np.any(one)


MEMORY = """
import resource
import tensorflow as tf
from kerasft.layers.attention import SelfAttention
layers = [SelfAttention(8, 0.1, 0.0) for _ in range(8)]
for layer in layers:
    layer.build((None, None, 32))

@tf.function
def step(x):
    with tf.GradientTape() as tape:
        for layer in layers:
            x = layer(x, training=True)
        total = tf.reduce_sum(x)
    return tape.gradient(total, layers[0].trainable_variables)

step(tf.ones((2, 16, 32)))
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
step(tf.ones((2, 1024, 32)))
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
"""


def test_a_long_row_keeps_no_weights_of_any_block():
    command = [sys.executable, "-c", MEMORY]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    one = 2 * 8 * 1024 * 1024 * 4 // 2**20  # MiB of the weights of one block.
    kept = one // 4 * 8  # Which weights were dropped, a byte each.
    # Some at work at once; two of each of 8 blocks would be kept.
    assert int(done.stdout) < kept + 10 * one
