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


@dataclass(frozen=True)
class Examples:
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
        """Give back the memory of what was read of a file."""
        if self.mapped:
            self.mapped.release()


def encode_rows(rows: Rows, tokenizer: Tokenizer) -> Examples:
    """Tokenise rows, in parallel, or find them in the cache.

    Raises:
        DataError: there are no rows.
    """
    if not len(rows):
        raise DataError(f"{rows!r}: there are no rows to tokenise.")
    types = TYPES | ({"second_starts": "int32"} if rows.has_pairs else {})
    told = None
    if len(rows) >= CACHED_FROM:
        told = f"{FORMAT} {rows.fingerprint} {tokenizer.fingerprint}"
    chunks = _encoded_chunks(rows, tokenizer)
    arrays, files = kept_arrays(chunks, types, "examples", told)
    return Examples(
        arrays["ids"],
        arrays["lengths"],
        arrays.get("second_starts"),
        int(arrays["truncated"].sum()),
        files.get("ids"),
    )


def _encoded_chunks(rows, tokenizer):
    with bar("Tokenising", len(rows)) as advance:
        for start in range(0, len(rows), CHUNK):
            stop = min(start + CHUNK, len(rows))
            pairs = rows.text_pairs(start, stop) if rows.has_pairs else None
            encoded = tokenizer.encode(rows.texts(start, stop), pairs)
            yield encoded._asdict() | {"truncated": [encoded.truncated]}
            advance(stop - start)
