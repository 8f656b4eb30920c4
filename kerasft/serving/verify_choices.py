"""Prove an exported chooser against the task in memory."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import tensorflow as tf
import tensorflow_text  # noqa: F401  (registers the ops of the SavedModel)

from kerasft.serving.verify import SERVED_BATCH, raise_if_wrong


def verify_choices(
    folder: str | Path,
    expected: Callable[[list[dict]], list[dict]],
    rows: Sequence[dict],
    tolerance: float,
) -> int:
    """Compare what a SavedModel chooses with what the task does.

    Args:
        folder: the SavedModel.
        expected: list of dicts with `context`, `choices` and perhaps `question` -> of
            each a dict with `scores`.
        rows: what is asked.
        tolerance: how far scores may be apart.

    Returns:
        How many rows were compared.

    Raises:
        VerificationError: another choice, or a score that is further off.
    """
    serve = tf.saved_model.load(str(folder)).signatures["serving_default"]
    wrong = []
    for start in range(0, len(rows), SERVED_BATCH):
        batch = rows[start : start + SERVED_BATCH]
        served = {k: v.numpy() for k, v in serve(**choice_strings(batch)).items()}
        for i, (row, wanted) in enumerate(zip(batch, expected(batch), strict=True)):
            found = {name: values[i] for name, values in served.items()}
            if not _same(found, row["choices"], wanted["scores"], tolerance):
                wrong.append(f"  {row!r}\n    served {found}\n    wanted {wanted}")
    raise_if_wrong(wrong, len(rows), "rows")
    return len(rows)


def choice_strings(rows: Sequence[dict]) -> dict[str, tf.Tensor]:
    """What `serving_default` takes, of dicts as `MultipleChoice.predict_text` takes."""
    widest = max(len(row["choices"]) for row in rows)
    choices = [[*row["choices"], *[""] * widest][:widest] for row in rows]
    return {
        "context": tf.constant([row["context"] for row in rows]),
        "question": tf.constant([row.get("question") or "" for row in rows]),
        "choices": tf.constant(choices),
    }


def _same(found, choices, wanted, tolerance):
    count, index = len(choices), found["index"]
    return (
        np.abs(found["scores"][:count] - wanted).max() <= tolerance
        and not found["scores"][count:].any()
        and abs(found["score"] - max(wanted)) <= tolerance
        # Of two that are as good either may be chosen.
        and index < count
        and max(wanted) - wanted[index] <= tolerance
        and found["choice"].decode() == choices[index]
    )
