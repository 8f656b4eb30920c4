"""Weights that make rare labels count as much as frequent ones."""

from kerasft._errors import DataError
from kerasft.data.rows import Rows


def balanced_weights(rows: Rows) -> dict[str, float]:
    """A weight for each label: rows / (labels x rows of the label).

    The same as scikit-learn's `class_weight="balanced"`; give it to
    `TextClassifier.compile(class_weight=...)`.

    Raises:
        DataError: the labels are not names, or one of them has no rows.
    """
    names = rows.label_type in ("name", "names", "tags")
    if not names or getattr(rows, "kind", "words") != "words":
        raise DataError(
            f"{rows!r}: balancing needs labels that are names; these are of type "
            f"'{rows.label_type}'."
        )
    counts = rows.label_counts
    missing = [name for name in rows.labels if not counts.get(name)]
    if missing:
        raise DataError(
            f"{rows!r}: no row has the label {', '.join(missing[:5])}, so there is "
            "nothing to weigh. Leave these labels out, or add rows."
        )
    total = sum(counts.values())
    return {name: total / (len(rows.labels) * counts[name]) for name in rows.labels}
