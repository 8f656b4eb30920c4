"""Rows to examples: every text tokenised once, kept as one long array of ids.

Small corpora stay in memory. Larger ones are written to the cache, under a key made of
the data's and the tokenizer's fingerprints, and memory-mapped: any example can be read
at any time, so shuffling and length grouping see the whole corpus while memory stays
flat. (Record files could only be read in order.)
"""

from dataclasses import dataclass

import numpy as np

from kerasft._errors import DataError
from kerasft.data.cache import kept_arrays
from kerasft.data.mapped import MappedFile
from kerasft.data.progress import bar
from kerasft.data.rows import Rows
from kerasft.data.tokenizer import Tokenizer

CACHED_FROM = 2_000  # rows; fewer are tokenised faster than a file is opened
CHUNK = 2_000
FORMAT = 2
TYPES = {"ids": "int32", "lengths": "int32", "truncated": "int64"}


class SingleTexts:
    """Mixin of examples whose tokens lie side by side; they have `lengths`."""

    @property
    def texts_per_row(self) -> int:
        """One, a pair of texts counted as one; `TextColumns` have more."""
        return 1

    def tokens(self, chosen=slice(None)) -> int:
        """How many tokens the `chosen` examples have, or all."""
        return int(self.lengths[chosen].sum(dtype="int64"))


@dataclass(frozen=True)
class Examples(SingleTexts):
    """The token ids of many rows.

    Args:
        ids: (tokens,) all examples, one after the other.
        lengths: (examples,) tokens of each.
        second_starts: (examples,) where each one's second text begins, or None.
        truncated: how many rows were cut to the tokenizer's length.
        mapped: the file that `ids` lie in, or None.
    """

    ids: np.ndarray
    lengths: np.ndarray
    second_starts: np.ndarray | None
    truncated: int
    mapped: MappedFile | None = None

    def __post_init__(self):
        ends = np.cumsum(self.lengths, dtype="int64")
        object.__setattr__(self, "starts", ends - self.lengths)

    def __len__(self):
        return len(self.lengths)

    def release(self):
        """Give back the memory of what was read from a file so far."""
        if self.mapped:
            self.mapped.release()


def encode_rows(
    rows: Rows, tokenizer: Tokenizer, column: str | None = None
) -> Examples:
    """Tokenise rows, in parallel, or find them in the cache.

    Args:
        rows: of one text, or of two, which make one example.
        tokenizer: of the checkpoint.
        column: one of `rows.text_columns`, to take its texts alone.

    Raises:
        DataError: there are no rows, or rows with a third text.
    """
    if not len(rows):
        raise DataError(f"{rows!r}: there are no rows to tokenise.")
    if column is None and "negative" in rows.columns:
        raise DataError(
            f"{rows!r}: a third text (negative) is for a TextEmbedder alone. Read the "
            "rows without it."
        )
    paired = rows.has_pairs and column is None
    types = TYPES | ({"second_starts": "int32"} if paired else {})
    told = None
    if len(rows) >= CACHED_FROM:
        told = f"{FORMAT} {rows.fingerprint} {tokenizer.fingerprint}"
        told += f" {column}" if column else ""
    chunks = _encoded_chunks(rows, tokenizer, column)
    arrays, files = kept_arrays(chunks, types, "examples", told)
    return Examples(
        arrays["ids"],
        arrays["lengths"],
        arrays.get("second_starts"),
        int(arrays["truncated"].sum()),
        files.get("ids"),
    )


def _encoded_chunks(rows, tokenizer, column):
    paired = rows.has_pairs and column is None
    with bar("Tokenising", len(rows)) as advance:
        for start in range(0, len(rows), CHUNK):
            stop = min(start + CHUNK, len(rows))
            pairs = rows.text_pairs(start, stop) if paired else None
            texts = rows.texts_of(column or "text", start, stop)
            encoded = tokenizer.encode(texts, pairs)
            yield encoded._asdict() | {"truncated": [encoded.truncated]}
            advance(stop - start)
