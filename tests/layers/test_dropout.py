"""Dropout: what share falls, that the mean stays, and that a seed gives one mask."""

import keras
import numpy as np
import pytest
from tensorflow_or_skip import tf

from kerasft.layers.dropout import Dropout


def drop(*arguments):
    from kerasft.layers import dropout_tensorflow

    return dropout_tensorflow.drop(*arguments)


def ones():
    return tf.ones((200, 501))  # An odd number of places.


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.9])
def test_the_asked_share_falls_and_the_mean_stays(rate):
    dropped = drop(ones(), rate, (1, 2)).numpy()
    spread = np.sqrt(rate * (1 - rate) / dropped.size)
    assert abs((dropped == 0).mean() - rate) < 4 * spread
    assert abs(dropped.mean() - 1) < 4 * spread / (1 - rate)
    np.testing.assert_allclose(dropped[dropped > 0], 1 / (1 - rate), rtol=1e-3)


def test_neighbours_fall_independently_of_each_other():
    fallen = (drop(tf.ones(200_000), 0.3, (3, 4)).numpy() == 0).astype(float)
    for distance in (1, 2, 4):
        together = np.corrcoef(fallen[:-distance], fallen[distance:])[0, 1]
        assert abs(together) < 4 / np.sqrt(len(fallen))


def test_a_seed_gives_one_mask_in_every_mode():
    eager = drop(ones(), 0.2, (5, 6)).numpy()
    for compiled in (False, True):
        again = tf.function(drop, jit_compile=compiled)(ones(), 0.2, (5, 6))
        np.testing.assert_allclose(again, eager, rtol=1e-6)
    assert not np.array_equal(drop(ones(), 0.2, (5, 7)), eager)


@pytest.mark.parametrize("shape", [(4, 3), (5, 3), (7,), ()])
def test_its_random_numbers_are_those_of_tensorflow(shape):
    size = int(np.prod(shape))
    bits = tf.random.stateless_uniform(
        [(size + 1) // 2], (8, 9), None, None, tf.uint32, alg="philox"
    )
    numbers = tf.reshape(tf.bitcast(bits, tf.uint16), [-1])[:size]
    kept = np.reshape(numbers.numpy(), shape) >= round(0.3 * 2**16)
    np.testing.assert_array_equal(drop(tf.ones(shape), 0.3, (8, 9)).numpy() > 0, kept)


def test_gradients_pass_where_activations_did():
    inputs = ones()
    with tf.GradientTape() as tape:
        tape.watch(inputs)
        dropped = drop(inputs, 0.4, (7, 8))
    np.testing.assert_array_equal(tape.gradient(dropped, inputs), dropped)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32"])
@pytest.mark.parametrize("shape", [(), (3,), (2, 3, 5), (0, 4)])
def test_shape_and_dtype_stay(dtype, shape):
    dropped = drop(tf.ones(shape, dtype), 0.1, (1, 1))
    assert dropped.shape == shape and dropped.dtype == dtype


def test_nothing_falls_outside_of_training():
    layer, inputs = Dropout(0.5), keras.ops.ones((200, 501))
    assert layer(inputs) is inputs or np.array_equal(layer(inputs), inputs)
    np.testing.assert_array_equal(layer(inputs, training=False), inputs)
    np.testing.assert_array_equal(Dropout(0.0)(inputs, training=True), inputs)


def test_each_call_has_its_own_mask_and_a_seed_repeats_them():
    first, again = Dropout(0.5, seed=1), Dropout(0.5, seed=1)
    inputs = keras.ops.ones((200, 501))
    masks = [np.asarray(first(inputs, training=True)) for _ in range(2)]
    assert not np.array_equal(*masks)
    for mask in masks:
        np.testing.assert_array_equal(again(inputs, training=True), mask)


def test_its_state_is_saved_with_the_model():
    layer = Dropout(0.5, seed=1)
    layer(ones(), training=True)
    state = [variable.numpy() for variable in layer.variables]
    after = layer(ones(), training=True)
    for variable, value in zip(layer.variables, state, strict=True):
        variable.assign(value)
    np.testing.assert_array_equal(layer(ones(), training=True), after)
    assert isinstance(layer, keras.layers.Dropout)
