"""Prove exported relations and triples against the task in memory."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import tensorflow as tf
import tensorflow_text  # noqa: F401  (registers the ops of the SavedModel)

from kerasft.serving.verify import SERVED_BATCH, raise_if_wrong

SIDES = ("subject", "object")


def relations_to_ask(texts: Sequence[str], seed: int = 0) -> list[dict]:
    """Texts with two places in each, anywhere: apart, within each other, the same."""
    random = np.random.default_rng(seed)
    asked = []
    for text in filter(None, texts):
        places = np.sort(random.integers(0, len(text), (2, 2)), axis=1) + [0, 1]
        asked.append(
            {"text": text, "head": places[0].tolist(), "tail": places[1].tolist()}
        )
    return asked


def verify_relations(
    folder: str | Path,
    expected: Callable[[list[dict]], np.ndarray],
    rows: Sequence[dict],
    tolerance: float,
) -> int:
    """Compare the probabilities that a SavedModel serves with those of the task.

    Args:
        folder: the SavedModel.
        expected: dicts of `text`, `head` and `tail` -> probabilities (rows, relations).
        rows: what is asked.
        tolerance: how far probabilities may be apart.

    Returns:
        How many rows were compared.

    Raises:
        VerificationError: one is further off.
    """
    serve = tf.saved_model.load(str(folder)).signatures["serving_default"]
    wrong = []
    for start in range(0, len(rows), SERVED_BATCH):
        batch = rows[start : start + SERVED_BATCH]
        asked = {n: tf.constant([row[n] for row in batch]) for n in batch[0]}
        served = serve(**asked)["probabilities"].numpy()
        wanted = expected(batch)
        # "not <=" and not ">": a NaN is apart from everything.
        for i in np.flatnonzero(~(np.abs(served - wanted).max(1) <= tolerance)):
            wrong.append(
                f"  {batch[i]}\n    served {served[i]}\n    wanted {wanted[i]}"
            )
    raise_if_wrong(wrong, len(rows), "texts")
    return len(rows)


def verify_triples(
    folder: str | Path,
    expected: Callable[[list[str]], list[list[dict]]],
    texts: Sequence[str],
    tolerance: float,
) -> int:
    """Compare the triples that a SavedModel serves with those of the task.

    Args:
        folder: the SavedModel.
        expected: texts -> of each a list of dicts, as `TripleExtractor.predict_text`.
        texts: the user's own, and others.
        tolerance: how far scores may be apart; a triple whose score is no further from
            one half may be missing.

    Returns:
        How many texts were compared.

    Raises:
        VerificationError: other triples, or a score that is further off.
    """
    serve = tf.saved_model.load(str(folder)).signatures["serving_default"]
    wrong = []
    for start in range(0, len(texts), SERVED_BATCH):
        batch = list(texts[start : start + SERVED_BATCH])
        served = served_triples(serve(text=tf.constant(batch)), len(batch))
        for text, found, wanted in zip(batch, served, expected(batch), strict=True):
            if not _same(found, wanted, tolerance):
                wrong.append(f"  {text!r}\n    served {found}\n    wanted {wanted}")
    raise_if_wrong(wrong, len(texts), "texts")
    return len(texts)


def served_triples(served, count: int) -> list[list[dict]]:
    """What `serving_default` gives, as `TripleExtractor.predict_text` gives it."""
    columns = {name: np.asarray(tensor).tolist() for name, tensor in served.items()}
    found = [[] for _ in range(count)]
    for i, row in enumerate(columns["row"]):
        sides = {
            name: {
                "text": columns[name][i].decode(),
                "start": columns[f"{name}_start"][i],
                "end": columns[f"{name}_end"][i],
            }
            for name in SIDES
        }
        relation = columns["relation"][i].decode()
        found[row].append({**sides, "relation": relation, "score": columns["score"][i]})
    return found


def _same(found, wanted, tolerance):
    ours, theirs = ({_key(t): t["score"] for t in side} for side in (found, wanted))
    return all(
        abs(ours.get(key, 0.5) - theirs.get(key, 0.5)) <= tolerance
        for key in {*ours, *theirs}
    )


def _key(triple):
    sides = (tuple(triple[name].values()) for name in SIDES)
    return (*sides, triple["relation"])
