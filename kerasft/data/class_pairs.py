"""Pairs of texts from texts with a class: 1 where the class is the same, else 0.

A few labelled texts make many pairs, which is what few-shot training lives on.

Source: Tunstall et al. 2022 (arXiv:2209.11055), section 3.1; that the fewer are
repeated is the usual strategy of setfit 1.0.
"""

import numpy as np

from kerasft._errors import DataError, SettingsError
from kerasft.data.corpus import from_lists
from kerasft.data.rows import Rows


def class_pairs(rows: Rows, pairs_per_row: int | None = None, seed: int = 0) -> Rows:
    """Scored pairs of the texts of rows, as many of one class as of two.

    Args:
        rows: one text and one label name each.
        pairs_per_row: for each row so many partners of its own class and so many of
            others, as far as there are; None: all pairs of one class and all of two,
            and of the kind that has fewer some again until there are as many.
        seed: of the drawing.

    Raises:
        DataError: rows of another kind; one class alone, or none with two rows.
        SettingsError: less than one pair a row.
    """
    if pairs_per_row is not None and pairs_per_row < 1:
        raise SettingsError(f"pairs_per_row is {pairs_per_row}; at least 1.")
    if rows.has_pairs or rows.label_type != "name":
        raise DataError(
            f"{rows!r}: pairs are made of single texts with one label each."
        )
    classes = rows.label_array(rows.labels)
    counts = np.bincount(classes)
    if (counts > 0).sum() < 2 or counts.max() < 2:
        raise DataError(
            f"{rows!r}: to learn from pairs there must be two classes, and two rows of "
            f"one of them; the rows of each are {rows.label_counts}."
        )
    random = np.random.default_rng(seed)
    if pairs_per_row is None:
        same, other = _all_pairs(classes, random)
    else:
        same, other = _partners(classes, pairs_per_row, random)
    left, right = np.concatenate([same, other]).T
    texts = rows.texts()
    return from_lists(
        [texts[i] for i in left],
        [1.0] * len(same) + [0.0] * len(other),
        [texts[i] for i in right],
    )


def _all_pairs(classes, random):
    """All pairs (n, 2) of one class, and all of two; the fewer ones again and again."""
    left, right = np.triu_indices(len(classes), 1)
    pairs, is_same = np.stack([left, right], 1), classes[left] == classes[right]
    same, other = pairs[is_same], pairs[~is_same]
    count = max(len(same), len(other))
    return tuple(_repeated(kind, count, random) for kind in (same, other))


def _repeated(pairs, count, random):
    """All pairs, each as often as any other or once more, `count` in total."""
    whole, more = divmod(count, len(pairs))
    drawn = pairs[random.permutation(len(pairs))[:more]]
    return np.concatenate([*[pairs] * whole, drawn])


def _partners(classes, count, random):
    """For each row `count` pairs of its class, and `count` of others."""
    same, other = [], []
    for row, own in enumerate(classes):
        alike = np.flatnonzero(classes == own)
        kinds = (same, alike[alike != row]), (other, np.flatnonzero(classes != own))
        for pairs, partners in kinds:
            chosen = random.permutation(partners)[:count]
            pairs += [(row, partner) for partner in chosen]
    return np.array(same), np.array(other)
