"""Prove that a graph's tokens, characters and words are those of its reference.

Beside `verify.py`, which compares the inputs of a classifier. Out comes the number of
texts compared, or an error that shows the first differences.
"""

from collections.abc import Callable, Sequence

import tensorflow as tf
import tokenizers

from kerasft.serving.fuzz import adversarial_texts
from kerasft.serving.verify import BATCH, SHOWN, VerificationError


def verify_pieces(
    cut: Callable,
    reference: tokenizers.Tokenizer,
    texts: Sequence[str],
    fuzz: int = 2000,
    seed: int = 0,
) -> int:
    """Compare ids, starts, ends and words of texts.

    Args:
        cut: as `OffsetGraph.pieces`: from strings to ids, starts, ends and words.
        reference: the tokenizer it stands for; its settings are not touched.
        texts: real texts.
        fuzz: how many adversarial texts come on top.
        seed: of those.

    Returns:
        How many texts were compared.

    Raises:
        VerificationError: texts differ; shows the first of them.
    """
    pieces = sorted(reference.get_vocab())
    rows = [*texts, *adversarial_texts(fuzz, seed, pieces)]
    wrong = differing_pieces(cut, reference, rows)
    if wrong:
        raise VerificationError(
            f"The tokens of the graph or their characters differ from the reference on "
            f"{len(wrong)} of {len(rows)} texts. Please report this. The first, as "
            "(id, start, end, word):\n"
            + "\n".join(
                f"  {text!r}\n    graph     {found}\n    reference {expected}"
                for text, found, expected in wrong[:SHOWN]
            )
        )
    return len(rows)


def differing_pieces(cut, reference, texts) -> list[tuple]:
    """Texts the two cut differently: (text, tokens by graph, tokens by reference).

    Args:
        cut: as for `verify_pieces`.
        reference: the tokenizer.
        texts: str, or bytes that may be no UTF-8.
    """
    own = tokenizers.Tokenizer.from_str(reference.to_str())
    own.encode_special_tokens = True
    own.no_truncation()
    own.no_padding()
    wrong = []
    for start in range(0, len(texts), BATCH):
        batch = texts[start : start + BATCH]
        told = [
            text if isinstance(text, str) else text.decode(errors="replace")
            for text in batch
        ]
        found = _rows(cut(tf.constant(batch)))
        encoded = own.encode_batch(told, add_special_tokens=False)
        expected = [
            [(token, *span, word) for token, span, word in zip(*columns, strict=True)]
            for columns in ((one.ids, one.offsets, one.word_ids) for one in encoded)
        ]
        rows = zip(batch, found, expected, strict=True)
        wrong += [row for row in rows if row[1] != row[2]]
    return wrong


def _rows(pieces):
    """Of each text its tokens: (id, start, end, word)."""
    columns = (column.flat_values.numpy().tolist() for column in pieces)
    tokens = list(zip(*columns, strict=True))
    bounds = pieces[0].row_splits.numpy().tolist()
    return [tokens[a:b] for a, b in zip(bounds, bounds[1:], strict=False)]
