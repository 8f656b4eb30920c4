"""Metrics over several batches against scikit-learn and SciPy on all rows at once."""

import numpy as np
import pytest
from scipy.stats import pearsonr
from sklearn.metrics import accuracy_score, f1_score, mean_absolute_error

from kerasft.objectives.losses import IGNORED
from kerasft.objectives.metrics import (
    F1,
    AbsoluteError,
    Accuracy,
    MultiLabelF1,
    Pearson,
)

RANDOM = np.random.default_rng(0)
LOGITS = RANDOM.normal(size=(50, 5)).astype("float32")
LABELS = RANDOM.integers(0, 5, 50)
MANY = (RANDOM.random((50, 5)) < 0.3).astype("float32")
WEIGHTS = RANDOM.uniform(0, 3, 50).astype("float32")
PARTS = (slice(0, 20), slice(20, 21), slice(21, 50))
weighted = pytest.mark.parametrize(
    "weights", [None, WEIGHTS], ids=["plain", "weighted"]
)


def over_batches(metric, labels, logits, weights=None):
    """The metric's result, updated with uneven batches."""
    for part in PARTS:
        weight = None if weights is None else weights[part]
        metric.update_state(labels[part], logits[part], sample_weight=weight)
    return float(metric.result())


@weighted
def test_accuracy_equals_scikit_learn(weights):
    expected = accuracy_score(LABELS, LOGITS.argmax(1), sample_weight=weights)
    found = over_batches(Accuracy(), LABELS, LOGITS, weights)
    assert found == pytest.approx(expected, abs=1e-6)


@weighted
def test_macro_f1_equals_scikit_learn(weights):
    expected = f1_score(
        LABELS, LOGITS.argmax(1), average="macro", sample_weight=weights
    )
    found = over_batches(F1(5), LABELS, LOGITS, weights)
    assert found == pytest.approx(expected, abs=1e-6)


def test_a_class_that_never_occurs_does_not_count():
    logits, labels = LOGITS.copy(), LABELS % 3
    logits[:, 3:] = -9
    expected = f1_score(labels, logits.argmax(1), average="macro")
    assert over_batches(F1(5), labels, logits) == pytest.approx(expected, abs=1e-6)


@weighted
@pytest.mark.parametrize("average", ["micro", "macro"])
def test_f1_of_many_labels_equals_scikit_learn(average, weights):
    for logits in (LOGITS, np.where(np.arange(5) == 2, -1, LOGITS)):
        for labels in (MANY, MANY * (np.arange(5) != 2)):
            expected = f1_score(
                labels,
                logits > 0,
                average=average,
                sample_weight=weights,
                zero_division=np.nan,
            )
            metric = MultiLabelF1(5, average, "f1")
            found = over_batches(metric, labels, logits, weights)
            assert found == pytest.approx(expected, abs=1e-6)


def test_labels_that_are_not_scored_do_not_count():
    labels = np.where(RANDOM.random(50) < 0.3, IGNORED, LABELS)
    scored = labels != IGNORED
    best = LOGITS.argmax(1)[scored]
    assert over_batches(Accuracy(), labels, LOGITS) == pytest.approx(
        accuracy_score(labels[scored], best), abs=1e-6
    )
    assert over_batches(F1(5), labels, LOGITS) == pytest.approx(
        f1_score(labels[scored], best, average="macro"), abs=1e-6
    )


def test_classes_of_a_row_that_are_not_scored_do_not_count():
    scored = RANDOM.random(MANY.shape) < 0.7
    metric = MultiLabelF1(5, "micro", "f1")
    found = over_batches(metric, np.where(scored, MANY, IGNORED), LOGITS)
    expected = f1_score(MANY[scored], LOGITS[scored] > 0)
    assert found == pytest.approx(expected, abs=1e-6)


@weighted
@pytest.mark.parametrize("width", [None, 5])
def test_absolute_error_equals_scikit_learn(weights, width):
    numbers = RANDOM.normal(size=(50, width) if width else 50).astype("float32")
    logits = LOGITS[:, :width] if width else LOGITS[:, :1]
    expected = mean_absolute_error(
        numbers, logits if width else logits[:, 0], sample_weight=weights
    )
    found = over_batches(AbsoluteError(), numbers, logits, weights)
    assert found == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("mean", [0, 1e4])
def test_correlation_equals_scipy_even_far_from_zero(mean):
    numbers = (mean + RANDOM.normal(size=50)).astype("float32")
    logits = (numbers + LOGITS[:, 0])[:, None].astype("float32")
    expected = pearsonr(numbers.astype("f8"), logits[:, 0].astype("f8")).statistic
    found = over_batches(Pearson(), numbers, logits)
    assert found == pytest.approx(expected, rel=1e-5)


def test_a_weight_of_two_is_a_row_twice():
    numbers, logits = LOGITS[:, 0], LOGITS[:, 1:2]
    twice = RANDOM.integers(0, 3, 50)
    expected = pearsonr(
        np.repeat(numbers, twice), np.repeat(logits[:, 0], twice)
    ).statistic
    found = over_batches(Pearson(), numbers, logits, twice.astype("float32"))
    assert found == pytest.approx(expected, rel=1e-5)


def test_numbers_without_spread_have_correlation_zero():
    assert over_batches(Pearson(), np.ones(50, "f"), LOGITS[:, :1]) == 0


METRICS = {
    "accuracy": (Accuracy(), LABELS, LOGITS),
    "f1": (F1(5), LABELS, LOGITS),
    "f1_micro": (MultiLabelF1(5, "micro", "f1"), MANY, LOGITS),
    "mae": (AbsoluteError(), LOGITS[:, 0], LOGITS[:, 1:2]),
    "pearson": (Pearson(), LOGITS[:, 0], LOGITS[:, 1:2]),
}


@pytest.mark.parametrize("name", METRICS)
def test_a_metric_starts_anew_after_a_reset(name):
    metric, labels, logits = METRICS[name]
    first = over_batches(metric, labels, logits)
    metric.reset_state()
    assert over_batches(metric, labels, logits) == first
    metric.reset_state()
    assert float(metric.result()) == 0
