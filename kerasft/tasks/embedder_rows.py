"""What rows mean to an embedder, and how good its vectors are on them."""

import numpy as np

from kerasft._errors import DataError
from kerasft.objectives.embedding_metrics import linear_correlation, rank_correlation
from kerasft.objectives.neighbours import nearest_rows, own_ranks, unit_rows

# Which loss is the usual one for rows of a kind.
USUAL_LOSSES = {
    "texts": "ranking",
    "pairs": "ranking",
    "triples": "ranking",
    "scored": "cosine",
    "classes": "classes",
}
# What `scores_of` tells of rows of a kind.
SCORES = {
    "texts": (),
    "pairs": ("retrieval_accuracy", "mrr"),
    "triples": ("triplet_accuracy",),
    "scored": ("spearman", "pearson"),
    "classes": ("neighbour_accuracy",),
}


def kind_of(rows) -> str:
    """What rows are to an embedder.

    Returns:
        "texts": one text and no label. "classes": one text, one name. "pairs": two
        texts that belong together. "scored": two texts and a number, or 0 or 1.
        "triples": two texts that belong together, and one that does not.

    Raises:
        DataError: anything else.
    """
    labels = rows.label_type
    if "negative" in rows.columns and labels == "none":
        return "triples"
    if "negative" not in rows.columns and rows.has_pairs:
        if labels == "none":
            return "pairs"
        if labels == "number" or (labels == "name" and set(rows.labels) <= {"0", "1"}):
            return "scored"
    elif not rows.has_pairs and labels in ("none", "name"):
        return "texts" if labels == "none" else "classes"
    raise DataError(
        f"{rows!r}: an embedder takes texts; texts with a class; pairs of texts, alone "
        "or with a number (label_type='number'), or 0 or 1; or a text, a text_pair "
        "that belongs to it and a negative that does not, without a label."
    )


def labels_of(rows) -> np.ndarray | None:
    """Scores, float32 (rows,), or class numbers, int32 (rows,); None without labels.

    Raises:
        DataError: rows of no kind that an embedder takes; several numbers a row.
    """
    kind = kind_of(rows)
    if kind == "classes":
        return rows.label_array(rows.labels)
    if kind != "scored":
        return None
    if rows.label_type == "name":
        return rows.label_array(("0", "1")).astype("float32")
    scores = rows.label_array(())
    if scores.ndim > 1:
        raise DataError(
            f"{rows!r}: has {scores.shape[1]} numbers a row; a pair has one score."
        )
    return scores


def raise_unless_told(rows):
    """Refuse rows that do not say which texts should be near one another.

    Raises:
        DataError: texts alone, or a single row.
    """
    if kind_of(rows) == "texts":
        raise DataError(
            f"{rows!r}: texts alone do not say which should be near one another. Give "
            "pairs, triples, scores or classes."
        )
    if len(rows) < 2:
        raise DataError(f"{rows!r}: one row alone has nothing to be near to.")


def scores_of(rows, vectors) -> dict[str, float]:
    """How good vectors are, over all rows at once.

    Args:
        rows: such that `raise_unless_told` lets pass.
        vectors: (rows, width) or (rows, columns, width).

    Returns:
        Of scored pairs `spearman` and `pearson` of the cosine; of pairs
        `retrieval_accuracy` and `mrr` (mean reciprocal rank) of finding each text's
        partner among all; of triples `triplet_accuracy`; of classes
        `neighbour_accuracy`, the nearest other text being of the same class.

    """
    kind, labels = kind_of(rows), labels_of(rows)
    if kind == "classes":
        numbers, _ = nearest_rows(vectors, vectors, 2)
        itself = numbers[:, 0] == np.arange(len(numbers))
        other = np.where(itself, numbers[:, -1], numbers[:, 0])
        return {"neighbour_accuracy": float((labels[other] == labels).mean())}
    if kind == "pairs":
        ranks = own_ranks(vectors[:, 0], vectors[:, 1])
        return {
            "retrieval_accuracy": float((ranks == 1).mean()),
            "mrr": float((1.0 / ranks).mean()),
        }
    vectors = unit_rows(vectors)
    near = (vectors[:, 0] * vectors[:, 1]).sum(-1)
    if kind == "triples":
        far = (vectors[:, 0] * vectors[:, 2]).sum(-1)
        return {"triplet_accuracy": float((near > far).mean())}
    return {
        "spearman": rank_correlation(near, labels),
        "pearson": linear_correlation(near, labels),
    }
