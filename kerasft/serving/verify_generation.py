"""Proof that a served language model writes, and scores, what it does in memory."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import tensorflow as tf

from kerasft.serving.generation_signatures import SETTINGS
from kerasft.serving.verify import raise_if_wrong

PROBES = (
    {"max_new_tokens": 8},
    {"max_new_tokens": 8, "temperature": 0.8, "top_k": 20, "top_p": 0.9, "seed": 7},
)
USUAL = {"temperature": 0.0, "top_k": 0, "top_p": 1.0, "seed": 0}


def verify_generation(
    folder: str | Path,
    generate: Callable[..., list[str]],
    score: Callable[[list[str]], list[float]],
    texts: Sequence[str],
    tolerance: float,
):
    """Compare texts and likelihoods of the SavedModel with those of the model.

    Args:
        folder: of the SavedModel.
        generate: (prompts, **settings) -> what follows them.
        score: texts -> their log-likelihoods.
        texts: prompts that leave room for eight tokens.
        tolerance: the most that a log-likelihood may differ, for each of its tokens.

    Raises:
        VerificationError: tells what differs.
    """
    served = tf.saved_model.load(str(folder)).signatures
    wrong = []
    for probe in PROBES:
        settings = {
            name: tf.constant((USUAL | probe)[name], kind)
            for name, kind in SETTINGS.items()
        }
        found = served["generate"](text=tf.constant(texts), **settings)["text"]
        found = [text.decode() for text in found.numpy()]
        expected = generate(texts, **probe)
        wrong += [
            f"{text[:60]!r} goes on {one[:60]!r}, in memory {other[:60]!r}"
            for text, one, other in zip(texts, found, expected, strict=True)
            if one != other
        ]
    told = served["score"](text=tf.constant(texts))
    found, expected = told["log_likelihood"].numpy(), np.array(score(texts))
    most = tolerance * np.maximum(told["tokens"].numpy(), 1)
    wrong += [
        f"{texts[i][:60]!r} has a log-likelihood of {found[i]}, in memory {expected[i]}"
        for i in np.flatnonzero(~(np.abs(found - expected) <= most))
    ]
    raise_if_wrong(wrong, len(texts), "texts")
