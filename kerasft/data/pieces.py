"""Texts cut into tokens that know their word and their characters, whole.

Nothing is cut to length and there are no special tokens: `windows.py` makes examples of
them. The reference tokenizer does the work, as in `tokenizer.py`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np

from kerasft.data.progress import bar
from kerasft.data.tokenizer import Tokenizer

CHUNK = 2_000


@dataclass(frozen=True)
class Pieces:
    """The tokens of many texts, one text after the other.

    Args:
        ids: (tokens,) int32.
        words: (tokens,) int32, number of each token's word within its text.
        starts: (tokens,) int32, first character in the text (of split texts, in the
            word).
        ends: (tokens,) int32, the character after the last.
        bounds: (texts + 1,) int64, where each text's tokens begin.
    """

    ids: np.ndarray
    words: np.ndarray
    starts: np.ndarray
    ends: np.ndarray
    bounds: np.ndarray

    def __len__(self):
        return len(self.bounds) - 1

    def of(self, i: int) -> slice:
        """Where the tokens of text `i` are."""
        return slice(self.bounds[i], self.bounds[i + 1])


def cut(tokenizer: Tokenizer, texts: Sequence, what: str = "Tokenising") -> Pieces:
    """Cut texts, or texts that are lists of words, into tokens.

    Args:
        tokenizer: of the checkpoint.
        texts: list of str, or list of lists of str.
        what: heading of the progress bar.
    """
    split = len(texts) > 0 and not isinstance(texts[0], str)
    parts, lengths = [], []
    with bar(what, len(texts)) as advance:
        for start in range(0, len(texts), CHUNK):
            chunk = list(texts[start : start + CHUNK])
            encodings = tokenizer.backend.encode_batch(
                chunk, is_pretokenized=split, add_special_tokens=False
            )
            lengths += [len(encoding.ids) for encoding in encodings]
            parts.append(_columns(encodings))
            advance(len(chunk))
    ids, words, starts, ends = (
        np.concatenate(columns) if columns else np.zeros(0, "int32")
        for columns in (zip(*parts, strict=True) if parts else [()] * 4)
    )
    bounds = np.concatenate([[0], np.cumsum(lengths, dtype="int64")]).astype("int64")
    return Pieces(ids, words, starts, ends, bounds)


def cut_once(tokenizer: Tokenizer, texts: Sequence[str], what: str = "Tokenising"):
    """Cut texts of which many are the same, each different one once.

    Args:
        tokenizer: of the checkpoint.
        texts: list of str.
        what: heading of the progress bar.

    Returns:
        The different texts, their `Pieces`, and the number among them of each text.
    """
    numbers = {text: i for i, text in enumerate(dict.fromkeys(texts))}
    different = list(numbers)
    return different, cut(tokenizer, different, what), [numbers[t] for t in texts]


def _columns(encodings):
    """Ids, words, starts and ends of some encodings, flat."""
    count = sum(len(encoding.ids) for encoding in encodings)

    def flat(values):
        return np.fromiter(chain.from_iterable(values), "int32", count)

    words = (
        (-1 if word is None else word for word in encoding.word_ids)
        for encoding in encodings
    )
    offsets = [encoding.offsets for encoding in encodings]
    return (
        flat(encoding.ids for encoding in encodings),
        flat(words),
        flat((start for start, _ in row) for row in offsets),
        flat((end for _, end in row) for row in offsets),
    )


def word_firsts(words: np.ndarray) -> np.ndarray:
    """Bool (tokens,): whether a token of one text is the first of its word."""
    before = np.concatenate([[-2], words[:-1]])
    return (words >= 0) & (words != before)


def without_spaces(text: str, starts: np.ndarray, ends: np.ndarray):
    """Starts and ends of parts of a text, without the white space at their ends.

    Some tokenizers count the space before a word as part of it. A part of nothing else
    begins where it ends.
    """
    starts, ends = starts.copy(), ends.copy()
    for i, (start, end) in enumerate(zip(starts, ends, strict=True)):
        inner = text[start:end]
        starts[i] += len(inner) - len(inner.lstrip())
        ends[i] -= len(inner) - len(inner.rstrip()) if inner.strip() else 0
    return starts, ends
