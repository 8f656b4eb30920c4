"""Which examples go into which batch: each once, in few shapes, with little padding."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kerasft._errors import SettingsError
from kerasft.data.batching import BatchPlan, best_lengths
from kerasft.data.tokenizer import Tokenizer

LENGTHS = st.lists(st.integers(1, 60), min_size=1, max_size=200).map(
    lambda lengths: np.array(lengths, "int32")
)
PLANS = st.fixed_dictionaries(
    {
        "batch_size": st.integers(1, 40),
        "shuffle": st.booleans(),
        "group_by_length": st.booleans(),
        "seed": st.integers(0, 3),
        "max_shapes": st.integers(1, 6),
    }
)
BUDGET = st.one_of(st.none(), st.integers(60, 600))


def made(lengths, settings, budget=None):
    if budget is not None:
        settings = {**settings, "group_by_length": True, "tokens_per_batch": budget}
    return BatchPlan(lengths, **settings)


def batches(plan, epoch=0):
    order = plan.order(epoch)
    return [plan.batch(order, step) for step in range(len(plan))]


@settings(deadline=None)
@given(LENGTHS, PLANS, BUDGET, st.integers(0, 3))
def test_every_example_comes_exactly_once_an_epoch(lengths, plan, budget, epoch):
    plan = made(lengths, plan, budget)
    taken = np.concatenate([chosen for chosen, _ in batches(plan, epoch)])
    assert sorted(taken) == list(range(len(lengths)))


@settings(deadline=None)
@given(LENGTHS, PLANS, BUDGET)
def test_a_batch_holds_its_examples_and_no_more_than_allowed(lengths, plan, budget):
    plan = made(lengths, plan, budget)
    widths = set()
    for chosen, width in batches(plan):
        assert lengths[chosen].max() <= width
        assert 1 <= len(chosen) <= plan.batch_size
        assert budget is None or len(chosen) * width <= budget
        widths.add(width)
    assert len(widths) <= plan.max_shapes


@settings(deadline=None)
@given(LENGTHS, PLANS, BUDGET, st.integers(0, 2))
def test_the_padding_share_equals_a_direct_count(lengths, plan, budget, epoch):
    plan = made(lengths, plan, budget)
    places = sum(len(chosen) * width for chosen, width in batches(plan, epoch))
    assert plan.padding_share(epoch) == pytest.approx(1 - lengths.sum() / places)


@settings(deadline=None)
@given(LENGTHS, PLANS, BUDGET)
def test_the_order_depends_on_seed_and_epoch_alone(lengths, plan, budget):
    one, same = made(lengths, plan, budget), made(lengths, plan, budget)
    for epoch in (2, 0):
        for (a, width), (b, same_width) in zip(
            batches(one, epoch), batches(same, epoch), strict=True
        ):
            assert a.tolist() == b.tolist() and width == same_width


@pytest.mark.parametrize("group", [False, True])
def test_another_epoch_or_seed_has_another_order(group):
    lengths = np.random.default_rng(0).integers(3, 50, 300)
    orders = {
        tuple(BatchPlan(lengths, 8, True, group, seed).order(epoch)[0].tolist())
        for seed, epoch in itertools.product(range(2), range(2))
    }
    assert len(orders) == 4


@pytest.mark.parametrize("group", [False, True])
def test_without_shuffling_every_epoch_is_the_same(group):
    plan = BatchPlan(np.array([3, 9, 4, 9, 5]), 2, group_by_length=group)
    assert [c.tolist() for c, _ in batches(plan, 0)] == [
        c.tolist() for c, _ in batches(plan, 1)
    ]


@settings(deadline=None)
@given(LENGTHS, st.integers(1, 9))
def test_without_grouping_the_order_of_the_rows_is_kept(lengths, batch_size):
    taken = np.concatenate([c for c, _ in batches(BatchPlan(lengths, batch_size))])
    assert taken.tolist() == list(range(len(lengths)))


def test_shuffled_batches_of_like_length_do_not_run_from_short_to_long():
    lengths = np.random.default_rng(0).integers(3, 100, 500)
    plan = BatchPlan(lengths, 8, shuffle=True, group_by_length=True)
    widths = [width for _, width in batches(plan)]
    assert widths != sorted(widths)


@settings(deadline=None)
@given(
    st.lists(st.integers(1, 30), min_size=1, max_size=9).map(np.array),
    st.integers(1, 4),
)
def test_the_best_lengths_equal_a_search_over_all(lengths, most):
    def cost(shapes):
        shapes = np.array(sorted(shapes))
        return shapes[np.searchsorted(shapes, lengths)].sum()

    found = best_lengths(lengths, most)
    choices = itertools.combinations(set(lengths.tolist()), min(most, len({*lengths})))
    least = min(cost(c) for c in choices if max(c) == lengths.max())
    assert len(found) <= most and found[-1] == lengths.max()
    assert cost(found) == least


@pytest.mark.parametrize(
    "wrong, message",
    [
        ({"batch_size": 0}, "batch_size is 0; at least 1"),
        ({"batch_size": 2, "max_shapes": 0}, "max_shapes is 0"),
        ({"batch_size": 2, "tokens_per_batch": 100}, "needs group_by_length"),
        (
            {"batch_size": 2, "tokens_per_batch": 8, "group_by_length": True},
            "longest example has 9 tokens",
        ),
    ],
)
def test_numbers_that_cannot_be_kept_are_refused(wrong, message):
    with pytest.raises(SettingsError, match=message):
        BatchPlan(np.array([3, 9]), **wrong)


def test_grouping_leaves_little_padding_in_film_sentences(minilm):
    import real_inputs

    texts = [text for text, _ in real_inputs.vader_rows("films")]
    lengths = Tokenizer.from_pretrained(minilm, 128).encode(texts).lengths
    plan = BatchPlan(lengths, 32, shuffle=True, group_by_length=True)
    to_the_limit = 1 - lengths.sum() / (128 * len(lengths))
    assert plan.padding_share() < 0.10
    assert 0.70 < to_the_limit < 0.85
