"""The logistic head against scikit-learn, which minimises the same."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from sklearn.linear_model import LogisticRegression

from kerasft._errors import DataError
from kerasft.objectives.logistic import logistic_regression


def reference(features, classes, strength):
    model = LogisticRegression(C=strength, tol=1e-10, max_iter=100_000)
    model.fit(features.astype("float64"), classes)
    return model


def data(rows, width, classes, seed=0, spread=1.0):
    random = np.random.default_rng(seed)
    numbers = np.append(np.arange(classes), random.integers(0, classes, rows - classes))
    centres = random.normal(size=(classes, width))
    features = centres[numbers] + spread * random.normal(size=(rows, width))
    return features.astype("float32"), numbers


@pytest.mark.parametrize("strength", [0.01, 1.0, 100.0])
@pytest.mark.parametrize("rows, width, classes", [(40, 384, 5), (300, 8, 3)])
def test_weights_equal_scikit_learn(rows, width, classes, strength):
    features, numbers = data(rows, width, classes)
    kernel, bias = logistic_regression(features, numbers, classes, strength)
    model = reference(features, numbers, strength)
    scale = np.abs(model.coef_).max()
    assert_allclose(kernel, model.coef_.T, rtol=0, atol=1e-4 * scale)
    assert_allclose(bias, model.intercept_, rtol=0, atol=1e-4 * max(1.0, scale))


@settings(max_examples=25, deadline=None)
@given(
    rows=st.integers(6, 60),
    width=st.integers(1, 12),
    classes=st.integers(2, 5),
    spread=st.floats(0.01, 5.0),
    strength=st.floats(0.01, 100.0),
    seed=st.integers(0, 1000),
)
def test_no_weights_near_the_found_ones_are_better(
    rows, width, classes, spread, strength, seed
):
    features, numbers = data(rows, width, classes, seed, spread)
    kernel, bias = logistic_regression(features, numbers, classes, strength)

    def value(kernel, bias):
        logits = features.astype("float64") @ kernel + bias
        logits -= logits.max(1, keepdims=True)
        chances = logits - np.log(np.exp(logits).sum(1, keepdims=True))
        loss = -chances[np.arange(rows), numbers].sum()
        return loss + 0.5 / strength * np.square(kernel.astype("float64")).sum()

    best, random = value(kernel, bias), np.random.default_rng(seed)
    for size in (1e-3, 1e-1):
        for _ in range(5):
            moved = kernel + size * random.normal(size=kernel.shape)
            other = value(moved, bias + size * random.normal(size=bias.shape))
            assert other >= best - 1e-6 * abs(best)


def test_labels_that_words_cannot_tell_apart_get_even_chances():
    kernel, bias = logistic_regression(np.zeros((4, 3)), np.array([0, 1, 0, 1]), 2)
    assert_allclose(kernel, 0, atol=1e-6)
    assert_allclose(bias, 0, atol=1e-6)


def test_a_class_without_rows_is_refused():
    with pytest.raises(DataError, match=r"\[1\] of 3"):
        logistic_regression(np.zeros((2, 3)), np.array([0, 2]), 3)
