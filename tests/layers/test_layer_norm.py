"""LayerNorm against torch's: values and gradients, in full and in half precision."""

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose
from tensorflow_or_skip import tf

from kerasft.layers.norm import LayerNorm


def made(width, dtype="float32"):
    random = np.random.default_rng(0)
    layer = LayerNorm(epsilon=1e-12, dtype=dtype)
    layer.build((None, None, width))
    for weight in layer.weights:
        weight.assign(random.normal(size=width))
    inputs = random.normal(3, 2, size=(2, 5, width)).astype("float32")
    return layer, inputs, random.normal(size=inputs.shape).astype("float32")


@pytest.mark.parametrize("width", [3, 384])
def test_values_and_all_three_gradients_equal_torch(width):
    layer, inputs, upstream = made(width)
    x = tf.constant(inputs)
    with tf.GradientTape() as tape:
        tape.watch(x)
        outputs = layer(x)
    found = tape.gradient(outputs, [x, layer.gamma.value, layer.beta.value], upstream)

    theirs = [torch.tensor(inputs), *(torch.tensor(w.numpy()) for w in layer.weights)]
    for tensor in theirs:
        tensor.requires_grad_()
    expected = torch.nn.functional.layer_norm(
        theirs[0], (width,), theirs[1], theirs[2], eps=1e-12
    )
    expected.backward(torch.tensor(upstream))
    assert_allclose(outputs, expected.detach(), rtol=1e-5, atol=2e-6)
    for ours, tensor in zip(found, theirs, strict=True):
        assert_allclose(ours, tensor.grad, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_half_precision_is_normalised_in_float32(policy):
    layer, inputs, _ = made(384, policy)
    full, _, _ = made(384)
    large = 200 * inputs  # The sum of squares of a row is beyond float16.
    outputs = layer(large)
    assert outputs.dtype == policy.removeprefix("mixed_")
    rounded = tf.cast(tf.cast(large, outputs.dtype), "float32")
    assert_allclose(tf.cast(outputs, "float32"), full(rounded), rtol=2e-2, atol=3e-2)
