"""Prove exported guesses of hidden words against the task in memory."""

from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import tensorflow as tf
import tensorflow_text  # noqa: F401  (registers the ops of the SavedModel)

from kerasft.serving.verify import NEAR, SERVED_BATCH, raise_if_wrong


def verify_guesses(
    folder: str | Path,
    expected: Callable[[list[str]], list[np.ndarray]],
    texts: Sequence[str],
    names: Sequence[str],
    tolerance: float,
) -> int:
    """Compare the tokens that a SavedModel serves with the logits of the task.

    Args:
        folder: the SavedModel.
        expected: texts -> of each its logits, float32 (masks, vocabulary).
        texts: with the mask in them.
        names: what each token reads, in the order of the logits.
        tolerance: how far scores may be apart.

    Returns:
        How many texts were compared.

    Raises:
        VerificationError: other tokens, or a score that is further off.
    """
    serve = tf.saved_model.load(str(folder)).signatures["serving_default"]
    numbers = defaultdict(list)
    for number, name in enumerate(names):
        numbers[name].append(number)
    wrong = []
    for start in range(0, len(texts), SERVED_BATCH):
        batch = list(texts[start : start + SERVED_BATCH])
        served = {k: v.numpy() for k, v in serve(text=tf.constant(batch)).items()}
        for i, (text, logits) in enumerate(zip(batch, expected(batch), strict=True)):
            found = served_guesses({name: all_[i] for name, all_ in served.items()})
            chances = tf.nn.softmax(logits).numpy()
            if not _same(found, chances, numbers, tolerance):
                wanted = [[names[n] for n in row] for row in np.argsort(-chances)]
                wanted = [row[: len(found[0])] for row in wanted if found]
                wrong.append(f"  {text!r}\n    served {found}\n    wanted {wanted}")
    raise_if_wrong(wrong, len(texts), "texts")
    return len(texts)


def served_guesses(one) -> list[list[tuple[str, float]]]:
    """Of each mask of one text the tokens served, with their scores.

    Args:
        one: arrays `token`, `score` and `masks` of the text.
    """
    rows = zip(one["token"], one["score"], strict=True)
    return [
        [(token.decode(), float(score)) for token, score in zip(*row, strict=True)]
        for row in [*rows][: one["masks"]]
    ]


def _same(found, chances, numbers, tolerance):
    if len(found) != len(chances):
        return False
    for guesses, row in zip(found, chances, strict=True):
        best = -np.sort(-row)[: len(guesses)]
        if not all(
            abs(score - wanted) <= tolerance
            and any(
                abs(row[n] - wanted) <= NEAR * tolerance * wanted
                for n in numbers.get(token, ())
            )
            for (token, score), wanted in zip(guesses, best, strict=True)
        ):
            return False
    return True
