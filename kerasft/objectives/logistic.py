"""Logistic regression on fixed features: the one best head, by Newton's method.

The optimum of what scikit-learn's `LogisticRegression` minimises, Σ cross-entropy +
|W|² / (2 · strength), the bias free. It is convex, so no seed, rate or number of
epochs is to be chosen; a Newton step is found by conjugate gradients, without ever
holding the matrix of second derivatives.

Source: Bishop 2006, section 4.3.4; Nocedal & Wright 2006, algorithm 7.1.
"""

import numpy as np

from kerasft._errors import DataError

STEPS = 100
GRADIENT = 1e-9  # largest component at the optimum


def logistic_regression(features, classes, count, strength=1.0):
    """The weights and biases that fit best.

    Args:
        features: (rows, width).
        classes: (rows,) integers from 0, each of them at least once.
        count: of classes.
        strength: how far the rows may pull weights from 0; as scikit-learn's C.

    Returns:
        float32 (width, count) and (count,).

    Raises:
        DataError: a class without rows, whose bias would fall for ever.
    """
    found = np.bincount(classes, minlength=count)
    if not found.all():
        raise DataError(
            f"Classes {np.flatnonzero(found == 0).tolist()} of {count} have no rows to "
            "learn them from."
        )
    features = np.asarray(features, "float64")
    inputs = np.concatenate([features, np.ones((len(features), 1))], axis=1)
    wanted = np.eye(count)[classes]
    decay = np.full((inputs.shape[1], 1), 1.0 / strength)
    decay[-1] = 0.0  # The bias.
    problem = _Problem(inputs, wanted, decay)
    weights = np.zeros((inputs.shape[1], count))
    value, gradient, chances = problem.at(weights)
    for _ in range(STEPS):
        if np.abs(gradient).max() <= GRADIENT:
            break
        step = _solved(lambda v, p=chances: problem.bent(p, v), -gradient)
        slope, rate = (gradient * step).sum(), 1.0
        while problem.at(weights + rate * step)[0] > value + 1e-4 * rate * slope:
            rate /= 2.0
            if rate < 1e-10:  # As near as float64 comes.
                return _halves(weights)
        weights = weights + rate * step
        value, gradient, chances = problem.at(weights)
    return _halves(weights)


def _halves(weights):
    return weights[:-1].astype("float32"), weights[-1].astype("float32")


class _Problem:
    """What is minimised, with its slope and its curvature."""

    def __init__(self, inputs, wanted, decay):
        self.inputs, self.wanted, self.decay = inputs, wanted, decay

    def at(self, weights):
        """Value, gradient, and the classes' chances (rows, classes)."""
        logits = self.inputs @ weights
        logits -= logits.max(axis=1, keepdims=True)
        total = np.log(np.exp(logits).sum(axis=1, keepdims=True))
        chances = np.exp(logits - total)
        value = ((total - logits) * self.wanted).sum()
        value += 0.5 * (self.decay * weights * weights).sum()
        gradient = self.inputs.T @ (chances - self.wanted) + self.decay * weights
        return value, gradient, chances

    def bent(self, chances, direction):
        """The matrix of second derivatives times a direction."""
        moved = self.inputs @ direction
        moved = chances * (moved - (chances * moved).sum(axis=1, keepdims=True))
        return self.inputs.T @ moved + self.decay * direction


def _solved(matrix, right):
    """x of matrix(x) = right, by conjugate gradients; nearer, the smaller `right`."""
    x, residual = np.zeros_like(right), right.copy()
    direction, square = residual.copy(), (residual * residual).sum()
    goal = square * min(0.25, np.sqrt(square))
    for _ in range(right.size):
        if square <= goal:
            break
        bent = matrix(direction)
        rate = square / (direction * bent).sum()
        x += rate * direction
        residual -= rate * bent
        before, square = square, (residual * residual).sum()
        direction = residual + square / before * direction
    return x
