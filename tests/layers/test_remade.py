"""What can be made again on the way back: the same gradients, and nothing kept."""

import keras
import numpy as np
import pytest
from keras import ops
from tensorflow_or_skip import tf

from kerasft.layers import remade as file
from kerasft.layers.dense import Dense
from kerasft.layers.norm import LayerNorm
from kerasft.layers.remade import can_be_remade, changed, remade
from kerasft.layers.tracking import open_tracker
from kerasft.peft.low_rank import LowRank


def parts(policy="float32"):
    """A layer norm, and a linear layer with LoRA, B drawn at random."""
    keras.utils.set_random_seed(0)
    norm, dense = LayerNorm(dtype=policy), Dense(5, dtype=policy)
    norm.build((None, None, 8))
    dense.build((None, None, 8))
    norm.gamma.assign(np.linspace(0.5, 2, 8))
    with open_tracker(dense):
        dense.adapter = LowRank(dense, 3, 2.0)
    dense.adapter.lora_b.assign(np.random.default_rng(1).normal(size=(3, 5)))
    return norm, dense


def gradients(norm, dense, inputs):
    """Of a sum of squares: those of the inputs, the norm's weights, A and B."""
    inputs = tf.convert_to_tensor(inputs)
    weights = [*getattr(norm, "weights", []), *dense.adapter.trainable_variables]
    weights = [weight.value for weight in weights]
    with tf.GradientTape() as tape:
        tape.watch(inputs)
        loss = tf.reduce_sum(tf.square(tf.cast(dense(norm(inputs)), "float32")))
    return tape.gradient(loss, [inputs, *weights])


ROWS = np.random.default_rng(0).normal(size=(2, 3, 8)).astype("float32")


@pytest.mark.parametrize("policy", ["float32", "mixed_bfloat16"])
@pytest.mark.parametrize("jit", [None, False, True], ids=["eager", "graph", "xla"])
def test_gradients_are_those_without_notes(policy, jit, monkeypatch):
    def run():
        made = parts(policy)

        def step(inputs):
            return gradients(*made, inputs)

        return (step if jit is None else tf.function(step, jit_compile=jit))(ROWS)

    again = run()
    monkeypatch.setattr(
        "kerasft.layers.norm.can_be_remade", lambda tensor, make: tensor
    )
    for ours, kept in zip(again, run(), strict=True):
        np.testing.assert_allclose(ours, kept, rtol=2e-2 if "16" in policy else 1e-5)


def test_a_batch_without_rows_has_gradients_of_zero():
    inputs, *weights = gradients(*parts(), ROWS[:0])
    assert inputs.shape == (0, 3, 8)
    assert all(not np.any(gradient) for gradient in weights)


def test_the_input_of_a_norm_s_neighbour_is_made_again_and_no_other(monkeypatch):
    asked = []

    def spy(tensor, after):
        asked.append((tensor, remade(tensor, after)))
        return asked[-1][1]

    monkeypatch.setattr("kerasft.peft.low_rank.remade", spy)
    norm, dense = parts()
    gradients(norm, dense, ROWS)
    gradients(lambda inputs: norm(inputs) + 1, dense, ROWS)
    (first, again), (other, kept) = asked
    assert again is not first
    np.testing.assert_allclose(again, first, rtol=1e-6)
    assert kept is other


def test_a_note_outlives_a_change_and_nothing_else():
    tensor = can_be_remade(tf.ones((2, 2)), lambda after: tf.fill((2, 2), after))
    turned = changed(tensor, lambda tensor: 3 * ops.reshape(tensor, (4,)))
    assert np.all(turned == 3)
    assert np.array_equal(remade(turned, 2.0), [6, 6, 6, 6])
    assert not hasattr(turned + 1, file.NOTE)
    assert np.all(remade(turned + 1, 2.0) == 4)
