"""The 3-gram model that perplexities are compared with: against counting by hand."""

import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

sys.path.append(str(Path(__file__).parents[2] / "benchmarks"))
from trigram import Trigram, main  # noqa: E402

SIZE = 4
TEXTS = st.lists(
    st.lists(st.integers(0, SIZE - 1), max_size=12), min_size=1, max_size=6
)


def flat(texts):
    ids = np.array([i for text in texts for i in text], "int32")
    return ids, np.append(0, np.cumsum([len(text) for text in texts]))


def by_hand(train, discounts):
    """P(token | context) by the book, with dicts; "^" stands before a text."""
    grams = Counter()
    for text in train:
        padded = ["^", *text]
        for i in range(2, len(padded)):
            grams[tuple(padded[i - 2 : i + 1])] += 1
    orders = [grams]
    for _ in range(2):
        orders.append(Counter(gram[1:] for gram in orders[-1]))

    def probability(token, context, order=0):
        lower = probability(token, context[1:], order + 1) if order < 2 else 1 / SIZE
        here = {
            gram[-1]: n for gram, n in orders[order].items() if gram[:-1] == context
        }
        if not here:
            return lower

        def taken(n):
            return discounts[order][min(n, 3)]

        total = sum(here.values())
        n = here.get(token, 0)
        left = sum(map(taken, here.values()))
        return (n - taken(n) + left * lower) / total

    return probability


@settings(deadline=None)
@given(TEXTS, TEXTS)
def test_probabilities_are_those_of_the_book(train, test):
    assume(max(map(len, train)) > 1)
    model = Trigram(*flat(train), SIZE)
    probability = by_hand(train, [order.discounts for order in model.orders])
    expected = []
    for text in test:
        padded = ["^", *text]
        expected += [
            probability(padded[i], tuple(padded[i - 2 : i]))
            for i in range(2, len(padded))
        ]
    np.testing.assert_allclose(model.probabilities(*flat(test)), expected)


@settings(deadline=None)
@given(TEXTS, st.lists(st.integers(0, SIZE - 1), min_size=1, max_size=3))
def test_probabilities_of_all_tokens_add_up_to_one(train, context):
    assume(max(map(len, train)) > 1)
    model = Trigram(*flat(train), SIZE)
    ways = [model.probabilities(*flat([[*context, i]]))[-1] for i in range(SIZE)]
    assert np.sum(ways) == pytest.approx(1) and min(ways) > 0


def test_discounts_are_those_of_chen_and_goodman():
    random = np.random.default_rng(0)
    ids = np.minimum(random.geometric(0.05, 5000), 200).astype("int32")
    order = Trigram(ids, np.array([0, len(ids)]), 201).orders[1]
    n = [0, *((order.counts == k).sum() for k in range(1, 5))]
    y = n[1] / (n[1] + 2 * n[2])
    expected = [0, *(k - (k + 1) * y * n[k + 1] / n[k] for k in (1, 2, 3))]
    np.testing.assert_allclose(order.discounts, expected)


def test_unread_articles_are_predicted_better_than_by_chance(minilm, capsys):
    found = main(["--tokenizer", str(minilm)])
    assert 50 < found["perplexity"] < 1000
    assert 1 < found["bits_a_character"] < 3
    assert str(found["perplexity"]) in capsys.readouterr().out
