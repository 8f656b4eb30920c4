"""Cut rows into folds for cross-validation.

The order comes from the raw bits of PCG64, as in `splits`: the same rows, count and
seed give the same folds on every machine.
"""

import numpy as np

from kerasft._errors import DataError, SettingsError
from kerasft.data.rows import Rows


def folds(
    rows: Rows, count: int = 5, seed: int = 0, stratify: bool = False
) -> list[tuple[Rows, Rows]]:
    """Pairs of training and validation rows; each row is validated on once.

    Args:
        rows: any rows.
        count: how many pairs.
        seed: the same seed gives the same folds.
        stratify: the rows of a class are dealt out evenly, to one row.

    Returns:
        `count` pairs; the validation parts differ by one row in size at most.

    Raises:
        SettingsError: fewer than two folds, or no single label to `stratify` by.
        DataError: too few rows, or too few of a class, for a row in each fold.
    """
    if count < 2:
        raise SettingsError(f"folds is {count}; it is at least 2.")
    order = np.argsort(np.random.PCG64(seed).random_raw(len(rows)), kind="stable")
    if stratify:
        order = _by_class(rows, order, count)
    elif len(rows) < count:
        raise DataError(f"Found {len(rows)} rows for {count} folds. Take fewer folds.")
    fold = np.empty(len(rows), np.int64)
    fold[order] = np.arange(len(rows)) % count
    everyone = np.arange(len(rows))
    return [
        (rows.select(everyone[fold != one]), rows.select(everyone[fold == one]))
        for one in range(count)
    ]


def _by_class(rows, order, count):
    """The order with the rows of each class together: dealt out, they are even."""
    if rows.label_type != "name":
        raise SettingsError(
            f"stratify=True needs one label name a row; these have {rows.label_type!r}."
        )
    few = {name: n for name, n in rows.label_counts.items() if 0 < n < count}
    if few:
        listed = ", ".join(f"{n} rows of {name!r}" for name, n in few.items())
        raise DataError(
            f"Found {listed} for {count} folds. Take fewer folds, add rows, or leave "
            "the class out."
        )
    classes = rows.label_array(rows.labels)[order]
    return order[np.argsort(classes, kind="stable")]
