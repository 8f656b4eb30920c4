"""Folds leave no row out, and share the classes evenly."""

from collections import Counter

import numpy as np
import pytest
from tiny_tasks import tiny_pairs, tiny_rows, tiny_tagged

import kerasft as kft
from kerasft._errors import DataError, SettingsError


def texts(rows):
    return [rows.where(i) for i in range(len(rows))]


@pytest.mark.parametrize("stratify", [False, True])
@pytest.mark.parametrize("count", [2, 5])
def test_each_row_is_validated_on_once_and_trained_on_else(count, stratify):
    rows = tiny_rows(43)
    made = kft.folds(rows, count, seed=3, stratify=stratify)
    assert len(made) == count
    everyone = sorted(texts(rows))
    assert sorted(t for _, valid in made for t in texts(valid)) == everyone
    for train, valid in made:
        assert sorted(texts(train) + texts(valid)) == everyone
    sizes = [len(valid) for _, valid in made]
    assert max(sizes) - min(sizes) <= 1


def test_stratified_folds_differ_by_one_row_of_a_class():
    rows = tiny_rows(60)
    shares = [Counter(v.label_counts) for _, v in kft.folds(rows, 4, stratify=True)]
    for label in rows.labels:
        counts = [share[label] for share in shares]
        assert max(counts) - min(counts) <= 1
    plain = [v.label_counts for _, v in kft.folds(rows, 4)]
    assert plain != [dict(share) for share in shares]


def test_the_seed_decides():
    rows = tiny_rows(43)
    first, again, other = (
        [texts(valid) for _, valid in kft.folds(rows, 3, seed)] for seed in (0, 0, 1)
    )
    assert first == again != other


@pytest.mark.parametrize(
    "rows", [tiny_pairs(12), tiny_tagged(12)], ids=["pairs", "tags"]
)
def test_other_rows_are_cut_too(rows):
    made = kft.folds(rows, 3)
    assert [len(valid) for _, valid in made] == [4, 4, 4]
    assert np.all([len(train) == 8 for train, _ in made])


def test_what_cannot_be_cut_is_refused():
    rows = kft.from_lists(["a", "b", "c"], ["x", "x", "y"])
    with pytest.raises(SettingsError, match="folds is 1"):
        kft.folds(rows, 1)
    with pytest.raises(DataError, match="3 rows for 4 folds"):
        kft.folds(rows, 4)
    with pytest.raises(DataError, match="1 rows of 'y' for 2 folds"):
        kft.folds(rows, 2, stratify=True)
    with pytest.raises(SettingsError, match="one label name a row"):
        kft.folds(tiny_pairs(9), 2, stratify=True)
