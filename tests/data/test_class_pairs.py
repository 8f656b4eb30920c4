"""Pairs drawn from texts with a class."""

from collections import Counter

import pytest

import kerasft as kft
from kerasft._errors import DataError, SettingsError

CLASSES = {"a": 4, "b": 3, "c": 1}
TEXTS = [f"{name}{i}" for name, count in CLASSES.items() for i in range(count)]
ROWS = kft.from_lists(TEXTS, [text[0] for text in TEXTS])


def listed(rows):
    labels = rows.label_array(())
    return list(zip(rows.texts(), rows.text_pairs(), labels, strict=True))


def test_all_pairs_come_and_the_fewer_again_until_there_are_as_many():
    pairs = listed(kft.class_pairs(ROWS))
    same = Counter(frozenset(pair[:2]) for pair in pairs if pair[2] == 1)
    other = Counter(frozenset(pair[:2]) for pair in pairs if pair[2] == 0)
    everything = {frozenset((a, b)) for a in TEXTS for b in TEXTS if a < b}
    alike = {pair for pair in everything if len({text[0] for text in pair}) == 1}
    assert len(alike) == 6 + 3 and len(everything - alike) == 19
    assert set(same) == alike and set(other) == everything - alike
    assert set(other.values()) == {1}
    assert same.total() == 19 and set(same.values()) == {2, 3}


@pytest.mark.parametrize("count", [1, 2, 50])
def test_each_row_gets_so_many_partners_as_far_as_there_are(count):
    pairs = listed(kft.class_pairs(ROWS, pairs_per_row=count))
    assert len(set(pairs)) == len(pairs)
    for wanted in (1, 0):
        found = Counter(left for left, _, label in pairs if label == wanted)
        for text in TEXTS:
            own = CLASSES[text[0]]
            there = own - 1 if wanted else len(TEXTS) - own
            assert found[text] == min(count, there)
    for left, right, label in pairs:
        assert left != right and (left[0] == right[0]) == bool(label)


def test_the_seed_decides_which():
    one, same, other = (listed(kft.class_pairs(ROWS, 1, seed)) for seed in (0, 0, 1))
    assert one == same != other


def test_more_pairs_of_one_class_than_of_two_are_still_balanced():
    rows = kft.from_lists([f"t{i}" for i in range(9)], ["a"] * 8 + ["b"])
    labels = kft.class_pairs(rows).label_array(())
    assert len(labels) == 2 * 28 and labels.mean() == 0.5


@pytest.mark.parametrize(
    "rows",
    [
        kft.from_lists(["x", "y"]),
        kft.from_lists(["x", "y"], [0.5, 0.1]),
        kft.from_lists(["x", "y"], ["a", "b"], ["z", "z"]),
        kft.from_lists(["x", "y"], ["a", "b"]),
        kft.from_lists(["x", "y"], ["a", "a"]),
    ],
    ids=["no labels", "numbers", "pairs", "one row each", "one class"],
)
def test_rows_that_make_no_pairs_are_refused(rows):
    with pytest.raises(DataError, match="pairs are made of|two classes"):
        kft.class_pairs(rows)


def test_less_than_one_pair_a_row_is_refused():
    with pytest.raises(SettingsError, match="at least 1"):
        kft.class_pairs(ROWS, 0)
