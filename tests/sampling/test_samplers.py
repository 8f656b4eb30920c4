"""Penalties, cuts and draws against `transformers`' processors of logits."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chisquare
from transformers.generation import logits_process as theirs

from kerasft.sampling.samplers import (
    NEVER,
    History,
    cut,
    drawn,
    even_numbers,
    penalised,
)
from kerasft.sampling.settings import Sampling

seeds = st.integers(0, 2**31)


def logits_of(seed, rows=3, vocabulary=37):
    random = np.random.default_rng(seed)
    return random.normal(0, 3, (rows, vocabulary)).astype("float32")


def assert_same(ours, expected):
    ours, expected = np.asarray(ours), expected.numpy()
    never = np.isinf(expected)
    np.testing.assert_array_equal(ours <= NEVER, never)
    np.testing.assert_allclose(ours[~never], expected[~never], rtol=1e-6)


CUTS = {
    "top_k": (theirs.TopKLogitsWarper, (1, 2, 10, 100)),
    "top_p": (theirs.TopPLogitsWarper, (0.01, 0.3, 0.9, 0.99)),
    "min_p": (theirs.MinPLogitsWarper, (0.01, 0.3, 1.0)),
    "typical_p": (theirs.TypicalLogitsWarper, (0.01, 0.3, 0.9)),
}


@pytest.mark.parametrize(
    "name, value", [(name, value) for name in CUTS for value in CUTS[name][1]]
)
@given(seeds)
@settings(max_examples=20, deadline=None)
def test_cuts_equal_transformers(name, value, seed):
    logits = logits_of(seed)
    expected = CUTS[name][0](value)(None, torch.tensor(logits))
    assert_same(cut(logits, Sampling(temperature=1.0, **{name: value})), expected)


@given(seeds)
@settings(max_examples=20, deadline=None)
def test_cuts_follow_one_another_as_in_transformers(seed):
    scores = torch.tensor(logits_of(seed))
    for processor in (
        theirs.TemperatureLogitsWarper(0.7),
        theirs.TopKLogitsWarper(12),
        theirs.TopPLogitsWarper(0.8),
        theirs.MinPLogitsWarper(0.05),
        theirs.TypicalLogitsWarper(0.9),
    ):
        scores = processor(None, scores)
    ours = Sampling(temperature=0.7, top_k=12, top_p=0.8, min_p=0.05, typical_p=0.9)
    assert_same(cut(logits_of(seed), ours), scores)


@given(seeds, st.integers(1, 4), st.sampled_from([1.0, 0.5, 1.8]))
@settings(max_examples=40, deadline=None)
def test_penalties_equal_transformers(seed, size, penalty):
    logits = logits_of(seed, rows=1, vocabulary=9)
    random = np.random.default_rng(seed)
    count, pad = int(random.integers(1, 20)), int(random.integers(0, 4))
    tokens = random.integers(0, 9, (1, count)).astype("int32")
    expected = torch.tensor(logits)
    for processor in (
        theirs.RepetitionPenaltyLogitsProcessor(penalty),
        theirs.NoRepeatNGramLogitsProcessor(size),
    ):
        expected = processor(torch.tensor(tokens).long(), expected)
    # Padding before the prompt, and empty places behind the last token.
    room = np.pad(tokens, ((0, 0), (pad, 5)))
    mask = np.pad(np.ones_like(tokens), ((0, 0), (pad, 5)))
    ours = penalised(
        logits,
        Sampling(repetition_penalty=penalty, no_repeat_ngram_size=size),
        History(room, mask, pad + count, pad + 1),
    )
    assert_same(ours, expected)


def test_frequency_counts_what_was_made_not_the_prompt():
    tokens = np.array([[3, 3, 1, 2, 1, 0, 0]], "int32")
    mask = np.array([[1, 1, 1, 1, 1, 0, 0]], "int32")
    history = History(tokens, mask, 5, 2)  # Three were made: 1, 2, 1.
    logits = np.zeros((1, 5), "float32")
    ours = penalised(logits, Sampling(frequency_penalty=0.5), history)
    np.testing.assert_allclose(ours, [[0, -1.0, -0.5, 0, 0]])


def test_draws_follow_the_probabilities():
    chances = np.array([0.5, 0.25, 0.125, 0.125, 0.0], "float32")
    logits = np.where(chances > 0, np.log(np.maximum(chances, 1e-9)), NEVER)
    rows = np.arange(20_000, dtype="int32")
    logits = np.broadcast_to(logits.astype("float32"), (len(rows), 5))
    found = np.bincount(np.asarray(drawn(logits, 11, rows, 4)), minlength=5)
    assert found[4] == 0
    assert chisquare(found[:4], chances[:4] * len(rows)).pvalue > 1e-3


def test_even_numbers_are_even_and_differ_by_each_of_their_three_sources():
    rows = np.arange(50_000, dtype="int32")
    numbers = np.asarray(even_numbers(0, rows, 0))
    assert 0 <= numbers.min() and numbers.max() < 1
    counts, _ = np.histogram(numbers, 50, (0, 1))
    assert chisquare(counts).pvalue > 1e-3
    for other in (even_numbers(1, rows, 0), even_numbers(0, rows, 1)):
        assert abs(np.corrcoef(numbers, np.asarray(other))[0, 1]) < 0.02
    steps = np.array([np.asarray(even_numbers(5, rows[:1], s))[0] for s in range(500)])
    assert abs(np.corrcoef(steps[1:], steps[:-1])[0, 1]) < 0.15
