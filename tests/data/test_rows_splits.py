"""Splits: seeded, disjoint, complete, in proportion; and what two parts share."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kerasft._errors import DataError, SettingsError
from kerasft.data.corpus import from_lists
from kerasft.data.splits import duplicates_between, split


def numbered(count, labels=None):
    return from_lists([str(i) for i in range(count)], labels)


@given(
    st.integers(3, 300),
    st.sampled_from(
        [(0.8, 0.1, 0.1), (0.5, 0.5), (1 / 3,) * 3, (1,), (0.98, 0.01, 0.01)]
    ),
    st.integers(0, 2**32),
)
def test_parts_are_disjoint_complete_and_of_the_right_size(count, ratios, seed):
    parts = split(numbered(count), ratios, seed=seed)
    texts = [text for part in parts for text in part.texts()]
    assert sorted(texts, key=int) == [str(i) for i in range(count)]
    sizes = [len(part) for part in parts]
    exact = [abs(s - count * r) < 1 for s, r in zip(sizes, ratios, strict=True)]
    assert min(sizes) >= 1 and (all(exact) or 1 in sizes)


def test_the_same_seed_gives_the_same_parts_and_another_seed_others():
    rows = numbered(1000)
    first, again = split(rows, (0.9, 0.1), seed=7), split(rows, (0.9, 0.1), seed=7)
    assert [p.fingerprint for p in first] == [p.fingerprint for p in again]
    assert split(rows, (0.9, 0.1), seed=8)[0].fingerprint != first[0].fingerprint
    # Held, so that no release of NumPy or of ours moves a row to another part.
    assert split(numbered(10), (0.5, 0.5), seed=0)[0].texts() == list("32186")


@given(st.lists(st.integers(3, 60), min_size=1, max_size=5), st.integers(0, 99))
def test_stratified_parts_keep_every_class_in_proportion(sizes, seed):
    labels = [f"c{k}" for k, size in enumerate(sizes) for _ in range(size)]
    ratios = (0.7, 0.2, 0.1)
    parts = split(numbered(len(labels), labels), ratios, seed=seed, stratify=True)
    assert sum(map(len, parts)) == len(labels)
    for k, size in enumerate(sizes):
        counts = [part.label_counts[f"c{k}"] for part in parts]
        assert sum(counts) == size and min(counts) >= 1
        for count, ratio in zip(counts, ratios, strict=True):
            assert abs(count - size * ratio) < 1 or 1 in counts


def test_stratified_proportions_are_exact_where_they_can_be():
    labels = ["a"] * 600 + ["b"] * 300 + ["c"] * 100
    train, valid, test = split(
        numbered(1000, labels), (0.8, 0.1, 0.1), seed=1, stratify=True
    )
    assert list(train.label_counts.values()) == [480, 240, 80]
    assert list(valid.label_counts.values()) == [60, 30, 10]
    classes = train.label_array(train.labels)
    assert (np.diff(classes) != 0).sum() > 200  # classes are mixed, not in a row


def test_a_class_with_too_few_rows_is_named():
    rows = numbered(12, ["a"] * 10 + ["b"] * 2)
    with pytest.raises(DataError, match="2 rows of 'b', expected at least 3"):
        split(rows, (0.8, 0.1, 0.1), stratify=True)
    assert len(split(rows, (0.8, 0.1, 0.1))) == 3
    with pytest.raises(DataError, match="2 rows, expected at least 3"):
        split(numbered(2), (0.8, 0.1, 0.1))


@pytest.mark.parametrize(
    "ratios", [(0.8, 0.1), (0.5, 0.6), (1.2, -0.2), (1.0, 0.0), (), (float("nan"), 1)]
)
def test_ratios_that_do_not_sum_to_one_are_refused(ratios):
    with pytest.raises(SettingsError, match="ratios="):
        split(numbered(9), ratios)


def test_only_single_labels_can_be_stratified():
    with pytest.raises(SettingsError, match="these have 'number'"):
        split(numbered(3, [0.5, 1.5, 2.5]), (0.5, 0.5), stratify=True)
    with pytest.raises(SettingsError, match="these have 'none'"):
        split(numbered(3), (0.5, 0.5), stratify=True)


def test_rows_copied_to_another_part_are_all_counted():
    train = from_lists([f"The text Number {i}" for i in range(1000)])
    copies = train.texts(0, 20) + [f" the  TEXT\tnumber {i}\n" for i in range(20, 50)]
    valid = from_lists([*copies, *(f"new {i}" for i in range(100))])
    found = duplicates_between(train, valid)
    assert (found.rows, found.exact, found.normalised) == (150, 20, 50)
    assert found.examples[0] == ("texts[0]", "texts[0]", "The text Number 0")
    assert "50 of 150 rows" in str(found) and "20 of them" in str(found)
    assert duplicates_between(valid, from_lists(["x"])).normalised == 0


def test_pairs_are_duplicates_only_together():
    a = from_lists(["ab", "c"], text_pairs=["c", "d"])
    b = from_lists(["a", "c", "c"], text_pairs=["bc", "d", "e"])
    assert duplicates_between(a, b).exact == 1
