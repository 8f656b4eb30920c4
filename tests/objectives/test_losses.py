"""Losses against torch's, item by item and as a mean over what is scored."""

import keras
import numpy as np
import pytest
import torch
from tensorflow_or_skip import tf
from torch.nn import functional as reference

from kerasft._errors import DataError, SettingsError
from kerasft.objectives.losses import (
    IGNORED,
    BinaryCrossEntropy,
    CrossEntropy,
    ItemLoss,
    RowLoss,
    SquaredError,
)

RANDOM = np.random.default_rng(0)
LOGITS = RANDOM.normal(0, 3, (6, 5, 4)).astype("float32")
LABELS = RANDOM.integers(0, 4, (6, 5)).astype("int32")
LABELS[0, 1:] = LABELS[3] = IGNORED
WEIGHTS = [0.5, 1.0, 2.0, 0.25]
CLOSE = {"rtol": 2e-6, "atol": 1e-6}
EXTREME = np.array([[1e4, -1e4], [-1e4, 1e4], [0.0, 1e4], [3e38, -3e38]], "float32")


def mean(loss, labels, logits, sample_weight=None):
    """What a loss object gives as a number."""
    return np.asarray(loss(labels, logits, sample_weight=sample_weight))


def torch_cross_entropy(labels=LABELS, logits=LOGITS, **options):
    if "weight" in options:
        options["weight"] = torch.tensor(options["weight"])
    return reference.cross_entropy(
        torch.tensor(logits).reshape(-1, 4),
        torch.tensor(labels).long().reshape(-1),
        ignore_index=IGNORED,
        **options,
    ).numpy()


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.9])
def test_cross_entropy_of_scored_tokens_equals_torch(smoothing):
    loss = CrossEntropy(smoothing)
    expected = torch_cross_entropy(label_smoothing=smoothing)
    np.testing.assert_allclose(mean(loss, LABELS, LOGITS), expected, **CLOSE)
    each = torch_cross_entropy(label_smoothing=smoothing, reduction="none")
    found = np.asarray(loss.call(LABELS, LOGITS))
    np.testing.assert_allclose(found.reshape(-1), each, **CLOSE)


def test_weighted_cross_entropy_equals_torch():
    loss = CrossEntropy(class_weight=WEIGHTS)
    expected = torch_cross_entropy(weight=WEIGHTS)
    np.testing.assert_allclose(mean(loss, LABELS, LOGITS), expected, **CLOSE)


def test_logits_of_labels_that_are_not_scored_do_not_matter():
    other = LOGITS.copy()
    other[LABELS == IGNORED] = 77.0
    loss = CrossEntropy(0.1, WEIGHTS)
    np.testing.assert_array_equal(mean(loss, LABELS, other), mean(loss, LABELS, LOGITS))


def test_a_batch_without_any_scored_label_has_loss_zero():
    nothing = np.full_like(LABELS, IGNORED)
    assert mean(CrossEntropy(0.1, WEIGHTS), nothing, LOGITS) == 0


@pytest.mark.parametrize("weights", [None, [0.5, 2.0, 1.0, 3.0]])
@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_binary_cross_entropy_equals_torch(smoothing, weights):
    logits, labels = LOGITS[:, 0], (LOGITS[:, 1] > 0).astype("float32")
    target = torch.tensor(labels) * (1 - smoothing) + 0.5 * smoothing
    each = reference.binary_cross_entropy_with_logits(
        torch.tensor(logits), target, reduction="none"
    ).numpy()
    loss = BinaryCrossEntropy(smoothing, weights)
    np.testing.assert_allclose(loss.call(labels, logits), each, **CLOSE)
    rows = np.ones_like(each) * (1.0 if weights is None else weights)
    expected = (each * rows).sum() / rows.sum()
    np.testing.assert_allclose(mean(loss, labels, logits), expected, **CLOSE)


def test_a_class_that_is_not_scored_leaves_the_others_as_they_are():
    logits, labels = LOGITS[:, 0], (LOGITS[:, 1] > 0).astype("float32")
    each = np.asarray(BinaryCrossEntropy().call(labels, logits))
    scored = RANDOM.random(labels.shape) < 0.6
    masked = np.where(scored, labels, IGNORED)
    np.testing.assert_allclose(
        mean(BinaryCrossEntropy(), masked, logits), each[scored].mean(), **CLOSE
    )


def test_squared_error_equals_torch():
    for shape in ((6,), (6, 4)):
        numbers = RANDOM.normal(0, 100, shape).astype("float32")
        numbers[0] = IGNORED  # A number as any other.
        logits = LOGITS[:, 0, : numbers[0].size]
        expected = reference.mse_loss(
            torch.tensor(logits).reshape(shape), torch.tensor(numbers)
        )
        np.testing.assert_allclose(
            mean(SquaredError(), numbers, logits), expected, rtol=1e-5
        )


LOSSES = {
    "cross entropy": (CrossEntropy(0.1), LABELS[1:3], LOGITS[1:3]),
    "weighted": (CrossEntropy(0.0, WEIGHTS), LABELS, LOGITS),
    "binary": (BinaryCrossEntropy(), (LOGITS[:, 1] > 0).astype("f"), LOGITS[:, 0]),
    "squared": (SquaredError(), LOGITS[:, 1], LOGITS[:, 0]),
}


@pytest.mark.parametrize("name", LOSSES)
def test_a_loss_is_the_weighted_mean_over_its_items(name):
    loss, labels, logits = LOSSES[name]
    rows = np.arange(len(labels), dtype="float32")
    each = np.asarray(loss.call(labels, logits), "float64")
    weights = np.asarray(loss.item_weights(labels))
    weights = weights * rows.reshape(-1, *[1] * (weights.ndim - 1))
    expected = (each * weights).sum() / weights.sum()
    np.testing.assert_allclose(mean(loss, labels, logits, rows), expected, **CLOSE)


def test_weights_of_another_rank_are_refused():
    with pytest.raises(DataError, match=r"shape \(6, 1\).*one weight a row"):
        mean(CrossEntropy(), LABELS[:, 0], LOGITS[:, 0], np.ones((6, 1)))


@pytest.mark.parametrize("loss", [CrossEntropy(), CrossEntropy(0.1)])
def test_extreme_logits_have_a_finite_loss_and_gradient(loss):
    from tensorflow_or_skip import tf

    for labels in ([0, 1, 1, 0], [1, 0, 0, 1]):
        logits = tf.constant(EXTREME[:3])
        with tf.GradientTape() as tape:
            tape.watch(logits)
            value = loss(np.array(labels[:3], "int32"), logits)
        assert np.isfinite(value.numpy())
        assert np.isfinite(tape.gradient(value, logits).numpy()).all()


def test_extreme_logits_have_the_binary_loss_of_torch():
    for labels in (np.zeros_like(EXTREME), np.ones_like(EXTREME)):
        expected = reference.binary_cross_entropy_with_logits(
            torch.tensor(EXTREME), torch.tensor(labels), reduction="none"
        )
        found = BinaryCrossEntropy().call(labels, EXTREME)
        np.testing.assert_allclose(found, expected, rtol=1e-6)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
@pytest.mark.parametrize("name", LOSSES)
def test_half_precision_logits_are_summed_in_full(name, dtype):
    loss, labels, logits = LOSSES[name]
    half = keras.ops.cast(logits, dtype)
    expected = mean(loss, labels, keras.ops.cast(half, "float32"))
    found = loss(labels, half)
    assert keras.backend.standardize_dtype(found.dtype) == "float32"
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("gamma", [0.5, 1.0, 2.0])
def test_the_focal_loss_is_its_formula_in_torch(gamma):
    logits = torch.tensor(LOGITS).double().requires_grad_()
    labels = torch.tensor(LABELS).long()
    known = labels.clamp(min=0)[..., None]
    chance = logits.softmax(-1).gather(-1, known)[..., 0]
    each = -((1 - chance) ** gamma) * chance.log()
    expected = each[labels != IGNORED].mean()
    expected.backward()
    loss, x = CrossEntropy(focal_gamma=gamma), tf.constant(LOGITS)
    with tf.GradientTape() as tape:
        tape.watch(x)
        found = loss(LABELS, x)
    np.testing.assert_allclose(found, expected.detach(), **CLOSE)
    np.testing.assert_allclose(tape.gradient(found, x), logits.grad, **CLOSE)


@pytest.mark.parametrize("gamma", [0.5, 1.0, 2.0])
def test_the_focal_loss_of_many_labels_is_its_formula_in_torch(gamma):
    random = np.random.default_rng(1)
    labels = random.integers(0, 2, (9, 4)).astype("float32")
    logits = random.normal(0, 3, (9, 4)).astype("float32")
    chance = torch.tensor(logits).double().sigmoid()
    chance = torch.where(torch.tensor(labels) == 1, chance, 1 - chance)
    expected = (-((1 - chance) ** gamma) * chance.log()).mean()
    found = mean(BinaryCrossEntropy(focal_gamma=gamma), labels, logits)
    np.testing.assert_allclose(found, expected, **CLOSE)


@pytest.mark.parametrize("kind", [CrossEntropy, BinaryCrossEntropy])
def test_a_focal_loss_and_its_slope_are_finite_at_both_ends(kind):
    loss, x = kind(focal_gamma=0.5), tf.constant(EXTREME[:3])
    labels = np.array([0, 0, 1], "int32")
    if kind is BinaryCrossEntropy:
        labels = np.eye(2, dtype="float32")[labels]
    with tf.GradientTape() as tape:
        tape.watch(x)
        found = loss(labels, x)
    assert np.isfinite(found)
    assert np.isfinite(tape.gradient(found, x)).all()


@pytest.mark.parametrize("gamma", [-0.1, float("inf"), float("nan")])
def test_a_focal_power_out_of_range_is_refused(gamma):
    with pytest.raises(SettingsError, match="focal_gamma"):
        CrossEntropy(focal_gamma=gamma)


@pytest.mark.parametrize("share", [-0.1, 1.0, float("nan")])
@pytest.mark.parametrize("kind", [CrossEntropy, BinaryCrossEntropy])
def test_a_share_that_is_none_is_refused(kind, share):
    with pytest.raises(SettingsError, match="label_smoothing"):
        kind(share)


FOREIGN = {
    "function": keras.losses.mean_squared_error,
    "class": keras.losses.MeanSquaredError(),
    "sum": keras.losses.MeanSquaredError(reduction="sum"),
}


@pytest.mark.parametrize("name", FOREIGN)
def test_a_keras_loss_gives_one_value_a_row(name):
    loss = RowLoss(FOREIGN[name])
    numbers, logits = LOGITS[:, 1, 0], LOGITS[:, 0, :1]
    each = np.square(numbers - logits[:, 0])
    np.testing.assert_allclose(loss.call(numbers, logits), each, rtol=1e-6)
    rows = np.arange(6)
    expected = (each * rows).sum() / rows.sum()
    np.testing.assert_allclose(mean(loss, numbers, logits, rows), expected, rtol=1e-6)


def test_every_loss_has_one_value_and_one_weight_for_each_item():
    for loss, labels, logits in LOSSES.values():
        assert isinstance(loss, ItemLoss)
        assert loss.call(labels, logits).shape == loss.item_weights(labels).shape
