"""Prove what is exported against its reference, before anyone can use it.

`verify_tokenizer` compares a tokenizer graph with the Rust tokenizer it was made from,
on given and on adversarial texts; `verify_export` compares a written SavedModel with
the model in memory. Out comes the number of rows compared, or an error that shows the
first differences.
"""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import tensorflow as tf
import tensorflow_text  # noqa: F401  (registers the ops of the SavedModel)
import tokenizers

from kerasft._errors import KerasftError
from kerasft.serving.fuzz import adversarial_texts

BATCH = 512
SERVED_BATCH = 32
TOLERANCE = 1e-5
# Chances as near as this may stand in either order; as a share of them, in tolerances.
NEAR = 10
SHOWN = 5
NUMBERS = (
    "value",
    "probabilities",
    "scores",
    "embedding",
)  # What is compared, as served.
NAMES = {
    "input_ids": "ids",
    "attention_mask": "attention_mask",
    "token_type_ids": "type_ids",
}


class VerificationError(KerasftError, ValueError):
    """What is about to be exported does not give what the reference gives."""


def verify_tokenizer(
    graph,
    reference: tokenizers.Tokenizer,
    texts: Sequence[str],
    pairs: Sequence[str] | None = None,
    fuzz: int = 2000,
    seed: int = 0,
) -> int:
    """Compare ids, masks and type ids of single texts, and of pairs where given.

    Args:
        graph: a `TokenGraph`, or anything called like one.
        reference: the tokenizer it stands for; its settings are not touched.
        texts: real texts.
        pairs: as many second texts, or None.
        fuzz: how many adversarial texts (and pairs, if `pairs`) come on top.
        seed: of the adversarial texts.

    Returns:
        How many rows were compared.

    Raises:
        VerificationError: rows differ; shows the first of them.
    """
    reference = reference_at(reference, graph.max_length)
    pieces = sorted(reference.get_vocab())
    strange = list(adversarial_texts(fuzz, seed, pieces))
    rows = [(text,) for text in [*texts, *strange]]
    if pairs is not None:
        rows += zip(texts, pairs, strict=True)
        rows += zip(strange, adversarial_texts(fuzz, seed + 1, pieces), strict=True)
    wrong = differing_rows(graph, reference, rows)
    if wrong:
        raise VerificationError(
            f"The tokenizer graph differs from the reference on {len(wrong)} of "
            f"{len(rows)} texts. Please report this. The first:\n"
            + "\n".join(
                f"  {row!r}\n    graph     {found}\n    reference {expected}"
                for row, found, expected in wrong[:SHOWN]
            )
        )
    return len(rows)


def reference_at(tokenizer: tokenizers.Tokenizer, max_length: int):
    """A copy of the tokenizer that cuts, pads and takes special tokens for text."""
    own = tokenizers.Tokenizer.from_str(tokenizer.to_str())
    own.encode_special_tokens = True
    own.enable_truncation(max_length)
    padding = own.padding or {"pad_id": own.token_to_id("[PAD]")}
    own.enable_padding(**(padding | {"length": None, "pad_to_multiple_of": None}))
    return own


def differing_rows(graph, reference, rows) -> list[tuple]:
    """Rows the two tokenise differently: (row, ids by graph, ids by reference).

    Args:
        graph: a `TokenGraph`, or anything called like one.
        reference: a tokenizer as from `reference_at`.
        rows: tuples of one text or of two; the first kind comes first.
    """
    traced = tf.function(graph, reduce_retracing=True)
    singles = [row for row in rows if len(row) == 1]
    doubles = [row for row in rows if len(row) == 2]
    wrong = []
    for kind in (singles, doubles):
        for start in range(0, len(kind), BATCH):
            batch = kind[start : start + BATCH]
            found = traced(*(tf.constant(side) for side in zip(*batch, strict=True)))
            encoded = reference.encode_batch(
                [row if len(row) == 2 else row[0] for row in batch]
            )
            wrong += _differences(batch, found, encoded)
    return wrong


def _differences(batch, found, encoded):
    differs = np.zeros(len(batch), dtype=bool)
    for name, attribute in NAMES.items():
        expected = np.array([getattr(one, attribute) for one in encoded])
        if found[name].shape != expected.shape:
            differs[:] = True
        else:
            differs |= np.any(found[name].numpy() != expected, axis=1)
    return [
        (batch[row], found["input_ids"][row].numpy().tolist(), encoded[row].ids)
        for row in np.flatnonzero(differs)
    ]


def verify_export(
    folder: str | Path,
    expected: Callable[..., np.ndarray],
    texts: Sequence[str],
    pairs: Sequence[str] | None = None,
    tolerance: float = TOLERANCE,
) -> int:
    """Compare what a SavedModel of strings serves with what the model gives.

    Args:
        folder: the SavedModel.
        expected: called with a list of texts (and a list of second texts), gives
            their probabilities (batch, classes), or values for regression.
        texts: the user's own rows.
        pairs: as many second texts, or None.
        tolerance: how far numbers may be apart; of values over 1, as a share of them.

    Returns:
        How many rows were compared.

    Raises:
        VerificationError: a number is further off.
    """
    serve = tf.saved_model.load(str(folder)).signatures["serving_default"]
    sides = {"text": texts} if pairs is None else {"text": texts, "text_pair": pairs}
    for start in range(0, len(texts), SERVED_BATCH):
        batch = {
            name: list(side[start : start + SERVED_BATCH])
            for name, side in sides.items()
        }
        served = serve(**{name: tf.constant(side) for name, side in batch.items()})
        name = next(name for name in NUMBERS if name in served)
        found = served[name].numpy()
        wanted = np.asarray(expected(*batch.values()))
        rows = list(zip(*batch.values(), strict=True))
        _raise_if_apart(found, wanted, rows, tolerance)
    return len(texts)


def raise_if_wrong(wrong: Sequence[str], count: int, what: str):
    """Refuse an export that answers otherwise than the task.

    Args:
        wrong: of each difference what was asked, served and wanted.
        count: how many were compared.
        what: what they are called.

    Raises:
        VerificationError: there are differences; shows the first of them.
    """
    if wrong:
        raise VerificationError(
            f"The SavedModel differs from the task on {len(wrong)} of {count} {what}. "
            "The first:\n" + "\n".join(wrong[:SHOWN])
        )


def _raise_if_apart(found, wanted, rows, tolerance):
    if found.shape != wanted.shape:
        raise VerificationError(
            f"The SavedModel gives shape {found.shape}, the model {wanted.shape}."
        )
    apart = np.abs(found - wanted) / np.maximum(np.abs(wanted), 1)
    apart = apart.reshape(len(rows), -1).max(axis=1)
    # "not <=" and not ">": a NaN is apart from everything.
    wrong = np.flatnonzero(~(apart <= tolerance))
    if wrong.size:
        raise VerificationError(
            f"The SavedModel differs from the model by more than {tolerance} on "
            f"{wrong.size} of {len(rows)} rows. The first:\n"
            + "\n".join(
                f"  {rows[row]!r}\n    served {found[row]}\n    wanted {wanted[row]}"
                for row in wrong[:SHOWN]
            )
        )
