"""AdamW: both forms of its update, clipping, layer rates, the schedules."""

import keras
import numpy as np
import pytest
import torch
import transformers
from tensorflow_or_skip import tf

import kerasft as kft
from kerasft._errors import SettingsError
from kerasft.objectives import optimizer

NUMBERS = {
    "finite": True,
    "rate": 1e-2,
    "kept": 0.999,
    "scale": 0.3,
    "beta_1": 0.9,
    "beta_2": 0.999,
    "new_1": 1 - 0.9,
    "new_2": 1 - 0.999,
    "correction_1": 1 - 0.9**3,
    "correction_2": 1 - 0.999**3,
    "epsilon": 1e-8,
    "zero": 0.0,
}
ROOT = NUMBERS["correction_2"] ** 0.5
NUMBERS |= {
    "kernel_rate": NUMBERS["rate"] * ROOT / NUMBERS["correction_1"],
    "kernel_epsilon": NUMBERS["epsilon"] * ROOT,
}


def state(seed):
    random = np.random.default_rng(seed)
    weight, mean = random.normal(size=(2, 5, 4)).astype("float32")
    square = random.uniform(1e-4, 1, (5, 4)).astype("float32")
    return [keras.Variable(value) for value in (weight, mean, square)]


@pytest.mark.parametrize("kept", [None, 0.999])
def test_the_fused_update_equals_its_keras_twin(kept, monkeypatch):
    gradient = tf.random.stateless_normal((5, 4), (1, 2))
    from kerasft.objectives import adam_tensorflow

    monkeypatch.setattr(adam_tensorflow, "SMALL", 0)
    numbers = NUMBERS | {"kept": kept}
    fused, plain, compiled = state(0), state(0), state(0)
    adam_tensorflow.move(fused[0].value, *fused[1:], gradient, numbers)
    optimizer.move(*plain, gradient, numbers)
    adam_tensorflow.mover(optimizer.move)(*compiled, gradient, numbers)
    for ours, twin in zip(fused + compiled, plain + plain, strict=True):
        np.testing.assert_allclose(ours.numpy(), twin.numpy(), rtol=2e-6, atol=1e-7)


def test_the_fused_update_takes_sparse_gradients():
    rows = tf.IndexedSlices(tf.ones((2, 4)), [1, 3], (5, 4))
    dense = tf.convert_to_tensor(rows)
    from kerasft.objectives import adam_tensorflow

    fused, plain = state(1), state(1)
    adam_tensorflow.move(fused[0].value, *fused[1:], rows, NUMBERS)
    optimizer.move(*plain, dense, NUMBERS)
    np.testing.assert_allclose(fused[0].numpy(), plain[0].numpy(), rtol=2e-6)


def test_weights_of_one_rate_and_decay_share_their_numbers_in_the_graph():
    weights = [keras.Variable(np.ones((2, 3), "float32"), name="kernel") for _ in "123"]
    weights.append(keras.Variable(np.ones(3, "float32"), name="bias"))
    adamw = kft.adamw(1e-3, total_steps=9)
    adamw.build(weights)
    step = tf.function(lambda: adamw.apply([tf.ones(w.shape) for w in weights]))
    graph = step.get_concrete_function().graph
    kinds = [operation.type for operation in graph.get_operations()]
    assert kinds.count("ResourceApplyAdam") == 4
    assert kinds.count("Expm1") == 2 * 2  # Two corrections; with decay, and without.


def test_both_square_sums_are_the_same():
    gradient = tf.random.stateless_normal((50, 4), (3, 4))
    from kerasft.objectives import adam_tensorflow

    np.testing.assert_allclose(
        adam_tensorflow.square_sum(gradient), optimizer.square_sum(gradient), rtol=1e-6
    )


def test_clipping_and_the_reported_norm_equal_torch():
    values = np.random.default_rng(0).normal(size=(3, 4)).astype("float32")
    weight = keras.Variable(np.zeros((3, 4), "float32"))
    adamw = kft.AdamW(1.0, clip_norm=0.7)
    adamw.build([weight])
    gradient = tf.constant(values)
    adamw.apply([gradient])
    parameter = torch.nn.Parameter(torch.zeros(3, 4))
    parameter.grad = torch.tensor(values)
    norm = torch.nn.utils.clip_grad_norm_([parameter], 0.7)
    mean = adamw._means[0].numpy()  # A tenth of what the step was made with.
    np.testing.assert_allclose(10 * mean, parameter.grad.numpy(), rtol=1e-5)
    np.testing.assert_allclose(adamw.gradient_norm.numpy(), norm.numpy(), rtol=1e-6)


@pytest.mark.parametrize("decay", ["linear", "cosine", "constant"])
@pytest.mark.parametrize("warmup", [0.0, 0.1, 0.25])
def test_schedules_equal_transformers(decay, warmup):
    total, rising = 40, int(40 * warmup)
    holder = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=3e-4)
    make = getattr(transformers, f"get_{decay}_schedule_with_warmup")
    lengths = (rising,) if decay == "constant" else (rising, total)
    reference = make(holder, *lengths)
    ours = kft.WarmupSchedule(3e-4, total, warmup, decay)
    for step in range(total):
        np.testing.assert_allclose(
            float(ours(step)), reference.get_last_lr()[0], rtol=1e-5, atol=1e-12
        )
        holder.step()
        reference.step()


@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("form", ["eager", "graph", "kernel"])
def test_a_step_that_is_not_finite_changes_nothing(bad, form, monkeypatch):
    good = [tf.ones((3, 2)), tf.ones(2)]
    from kerasft.objectives import adam_tensorflow

    if form != "kernel":  # Which small weights are moved by.
        monkeypatch.setattr(adam_tensorflow, "SMALL", 0)
    weights = [keras.Variable(np.ones(shape, "float32")) for shape in ((3, 2), (2,))]
    adam = kft.AdamW(0.1, weight_decay=0.1)

    def apply(gradients):
        adam.apply(gradients, weights)

    apply = tf.function(apply) if form == "graph" else apply
    adam.build(weights)
    apply(good)
    kept = [v for v in adam.variables if "mean" in v.path or "square" in v.path]
    before = [v.numpy() for v in [*weights, *kept]]
    apply([tf.constant([[bad, 1.0]] * 3), good[1]])
    for now, then in zip([*weights, *kept], before, strict=True):
        np.testing.assert_array_equal(now.numpy(), then)
    apply(good)
    assert (weights[0].numpy() < before[0]).all()


def test_layer_rates_fall_from_the_head_to_the_embeddings():
    paths = [
        "backbone/embedding/token_embedding/embeddings",
        "backbone/block_0/mlp/up_proj/kernel",
        "backbone/block_1/mlp/up_proj/kernel",
        "head/logits/kernel",
    ]
    rates = optimizer.layer_rates(paths, 0.5)
    assert rates == [0.125, 0.25, 0.5, 1.0]


def test_layer_rates_without_blocks_are_refused():
    with pytest.raises(SettingsError, match="numbered blocks"):
        optimizer.layer_rates(["dense/kernel"], 0.9)


@pytest.mark.parametrize(
    "wrong",
    [
        {"warmup": 1.0},
        {"warmup": -0.1},
        {"schedule": "step"},
        {"learning_rate": 0},
        {"learning_rate": float("nan")},
        {"clip_norm": 0},
        {"layer_decay": 1.5},
    ],
)
def test_numbers_out_of_range_are_refused(wrong):
    with pytest.raises(SettingsError):
        kft.adamw(**wrong)


def test_an_open_schedule_says_what_it_needs():
    with pytest.raises(SettingsError, match="total_steps"):
        kft.adamw().schedule(0)


def test_the_optimizer_survives_its_config():
    original = kft.adamw(3e-5, total_steps=10, layer_decay=0.9)
    copy = keras.optimizers.deserialize(keras.optimizers.serialize(original))
    assert copy.get_config() == original.get_config()
