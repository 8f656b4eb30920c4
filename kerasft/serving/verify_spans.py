"""Prove exported spans of text against the task in memory."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import tensorflow as tf
import tensorflow_text  # noqa: F401  (registers the ops of the SavedModel)

from kerasft.serving.verify import NEAR, SERVED_BATCH, raise_if_wrong

ASKED = ("question", "context")
FIELDS = ("text", "label", "start", "end")


def verify_spans(
    folder: str | Path,
    expected: Callable[[list[str]], list[list[dict]]],
    texts: Sequence[str],
    tolerance: float,
) -> int:
    """Compare the spans that a SavedModel serves with those of the task.

    Args:
        folder: the SavedModel.
        expected: texts -> of each a list of dicts with `text`, `label`, `start`, `end`
            and `score`.
        texts: the user's own, and others.
        tolerance: how far scores may be apart.

    Returns:
        How many texts were compared.

    Raises:
        VerificationError: other spans, or a score that is further off.
    """
    serve = tf.saved_model.load(str(folder)).signatures["serving_default"]
    wrong = []
    for start in range(0, len(texts), SERVED_BATCH):
        batch = list(texts[start : start + SERVED_BATCH])
        served = served_spans(serve(text=tf.constant(batch)), len(batch))
        for text, found, wanted in zip(batch, served, expected(batch), strict=True):
            if not _same(found, wanted, tolerance):
                wrong.append(f"  {text!r}\n    served {found}\n    wanted {wanted}")
    raise_if_wrong(wrong, len(texts), "texts")
    return len(texts)


def served_spans(served, count: int) -> list[list[dict]]:
    """What `serving_default` gives, as `TokenClassifier.predict_text` gives it."""
    columns = {name: tensor.numpy() for name, tensor in served.items()}
    found = [[] for _ in range(count)]
    for i, row in enumerate(columns["row"]):
        span = {name: columns[name][i] for name in (*FIELDS, "score")}
        for name in ("text", "label"):
            span[name] = span[name].decode()
        for name in ("start", "end"):
            span[name] = int(span[name])
        found[row].append(span | {"score": float(span["score"])})
    return found


def _same(found, wanted, tolerance):
    if len(found) != len(wanted):
        return False
    return all(
        all(one[name] == other[name] for name in FIELDS)
        and np.abs(one["score"] - other["score"]) <= tolerance
        for one, other in zip(found, wanted, strict=True)
    )


def verify_answers(
    folder: str | Path,
    expected: Callable[[list[dict]], list[list[dict]]],
    rows: Sequence[dict],
    tolerance: float,
) -> int:
    """Compare the answers that a SavedModel serves with those of the task.

    Of answers that are as good, as in a text that repeats itself from window to window,
    rounding chooses: either will do.

    Args:
        folder: the SavedModel.
        expected: list of dicts with `question` and `context` -> of each the answers
            that were weighed, the one to give first: dicts with `answer`, `start`,
            `end` and `score`.
        rows: what is asked.
        tolerance: how far scores may be apart.

    Returns:
        How many questions were compared.

    Raises:
        VerificationError: other answers, or a score that is further off.
    """
    serve = tf.saved_model.load(str(folder)).signatures["serving_default"]
    wrong = []
    for start in range(0, len(rows), SERVED_BATCH):
        batch = rows[start : start + SERVED_BATCH]
        sides = {n: tf.constant([row[n] for row in batch]) for n in ASKED}
        columns = {name: tensor.numpy() for name, tensor in serve(**sides).items()}
        for i, (row, wanted) in enumerate(zip(batch, expected(batch), strict=True)):
            found = {
                name: columns[name][i].item() for name in ("start", "end", "score")
            }
            found["answer"] = columns["answer"][i].decode()
            if not is_answer(found, wanted, tolerance):
                wrong.append(f"  {row!r}\n    served {found}\n    wanted {wanted[0]}")
    raise_if_wrong(wrong, len(rows), "questions")
    return len(rows)


def is_answer(found: dict, wanted: Sequence[dict], tolerance: float) -> bool:
    """Whether an answer is the first of those wanted, or as good as that.

    Args:
        found: what is served: `answer`, `start`, `end`, `score`.
        wanted: dicts like it, the one to give first.
        tolerance: how far scores may be apart.
    """
    best = wanted[0]
    as_good = [best]
    if best["answer"]:
        near = NEAR * tolerance * best["score"]
        as_good += [
            one
            for one in wanted[1:]
            if one["answer"] and best["score"] - one["score"] <= near
        ]
    return any(
        all(found[name] == one[name] for name in ("answer", "start", "end"))
        and abs(found["score"] - one["score"]) <= tolerance
        for one in as_good
    )
