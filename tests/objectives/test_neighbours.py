"""Nearest neighbours and rank correlation against brute force and SciPy."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from scipy import stats

from kerasft.objectives.embedding_metrics import linear_correlation, rank_correlation
from kerasft.objectives.neighbours import cosines, nearest_rows, own_ranks

RANDOM = np.random.default_rng(0)
# Few different directions, so that many cosines are equal.
CANDIDATES = RANDOM.integers(-1, 2, (70, 3)).astype("float32")
QUERIES = RANDOM.integers(-1, 2, (23, 3)).astype("float32")


@pytest.mark.parametrize("block", [(1, 1), (4, 7), (5, 64), (100, 100)])
@pytest.mark.parametrize("top", [1, 5, 70, 99])
def test_nearest_equal_a_full_sort_whatever_the_blocks(block, top):
    numbers, scores = nearest_rows(QUERIES, CANDIDATES, top, block)
    # To so many digits: another order of sums gives other last bits.
    full = np.round(cosines(QUERIES, CANDIDATES), 5)
    expected = np.argsort(-full, axis=1, kind="stable")[:, :top]
    chosen = np.take_along_axis(full, expected, 1)
    assert_allclose(scores, chosen, atol=1e-5)
    found = np.take_along_axis(full, numbers, 1)
    assert_allclose(found, chosen, atol=1e-5)
    assert all(len(set(row)) == len(row) for row in numbers)


def test_equal_ones_stand_in_the_order_of_their_numbers():
    candidates = np.array([[0, 1], [1, 0], [1, 0], [1, 0], [0, 1]], "float32")
    for block in ((1, 1), (1, 2), (9, 9)):
        numbers, _ = nearest_rows(candidates[1:2], candidates, 2, block)
        assert_array_equal(numbers, [[1, 2]])


@pytest.mark.parametrize("block", [(3, 5), (100, 100)])
def test_own_ranks_count_what_is_nearer(block):
    one = RANDOM.normal(size=(40, 6)).astype("float32")
    other = one + RANDOM.normal(size=(40, 6)).astype("float32")
    full = cosines(one, other)
    expected = (full > np.diag(full)[:, None] + 1e-6).sum(1) + 1
    assert_array_equal(own_ranks(one, other, block), expected)


numbers = st.lists(
    st.tuples(st.integers(-3, 3), st.floats(-5, 5, width=16)), min_size=2, max_size=40
)


@settings(deadline=None)
@given(numbers)
def test_correlations_equal_scipy(pairs):
    one, other = np.array(pairs, "float64").T
    if np.ptp(one) < 1e-3 or np.ptp(other) < 1e-3:
        flat = np.ptp(one) == 0 or np.ptp(other) == 0
        assert not flat or rank_correlation(one, other) == 0
        return
    expected = stats.spearmanr(one, other)[0]
    assert rank_correlation(one, other) == pytest.approx(expected, abs=1e-9)
    expected = stats.pearsonr(one, other)[0]
    assert linear_correlation(one, other) == pytest.approx(expected, abs=1e-9)
