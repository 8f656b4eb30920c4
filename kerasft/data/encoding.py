"""Rows to examples: every text tokenised once, kept as one long array of ids.

Small corpora stay in memory. Larger ones are written to the cache, under a key made of
the data's and the tokenizer's fingerprints, and memory-mapped: any example can be read
at any time, so shuffling and length grouping see the whole corpus while memory stays
flat. (Record files could only be read in order.)
"""

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from kerasft._errors import DataError
from kerasft.checkpoints.folders import atomic_folder
from kerasft.checkpoints.json_files import read_json, write_json
from kerasft.data.cache import cache_folder
from kerasft.data.mapped import MappedFile
from kerasft.data.progress import bar
from kerasft.data.rows import Rows
from kerasft.data.tokenizer import Encoded, Tokenizer

CACHED_FROM = 2_000  # rows; fewer are tokenised faster than a file is opened
CHUNK = 2_000
FORMAT = 1
PARTS = {"ids": "int32", "lengths": "int32", "second_starts": "int32"}


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

    @property
    def texts_per_row(self) -> int:
        """One; `TextColumns` have more."""
        return 1

    def tokens(self, chosen=slice(None)) -> int:
        """How many tokens the `chosen` examples have, or all."""
        return int(self.lengths[chosen].sum(dtype="int64"))

    def release(self):
        """Give back the memory of what was read from a file so far."""
        if self.mapped:
            self.mapped.release()


def encode_rows(rows: Rows, tokenizer: Tokenizer) -> Examples:
    """Tokenise rows, in parallel, or find them in the cache.

    Raises:
        DataError: there are no rows.
    """
    if not len(rows):
        raise DataError(f"{rows!r}: there are no rows to tokenise.")
    if len(rows) < CACHED_FROM:
        return _joined(_encoded_chunks(rows, tokenizer))
    told = f"{FORMAT} {rows.fingerprint} {tokenizer.fingerprint}"
    key = hashlib.sha256(told.encode()).hexdigest()[:32]
    folder = cache_folder() / f"examples-{key}"
    if not (folder / "examples.json").is_file():
        with atomic_folder(folder, mark="examples.json", own_files=("*",)) as new:
            _write(new, _encoded_chunks(rows, tokenizer), rows.has_pairs)
    return _read(folder)


def _encoded_chunks(rows, tokenizer):
    with bar("Tokenising", len(rows)) as advance:
        for start in range(0, len(rows), CHUNK):
            stop = min(start + CHUNK, len(rows))
            pairs = rows.text_pairs(start, stop) if rows.has_pairs else None
            yield tokenizer.encode(rows.texts(start, stop), pairs)
            advance(stop - start)


def _joined(chunks):
    columns = Encoded(*zip(*chunks, strict=True))
    paired = columns.second_starts[0] is not None
    return Examples(
        np.concatenate(columns.ids),
        np.concatenate(columns.lengths),
        np.concatenate(columns.second_starts) if paired else None,
        sum(columns.truncated),
    )


def _write(folder, chunks, paired):
    names = [name for name in PARTS if paired or name != "second_starts"]
    files = {name: (folder / name).open("wb") for name in names}
    truncated = 0
    try:
        for chunk in chunks:
            for name, file in files.items():
                file.write(getattr(chunk, name).astype(PARTS[name]).tobytes())
            truncated += chunk.truncated
    finally:
        for file in files.values():
            file.close()
    write_json(folder / "examples.json", {"truncated": truncated, "paired": paired})


def _read(folder: Path):
    about = read_json(folder / "examples.json")

    def read(name):
        return np.fromfile(folder / name, PARTS[name])

    ids = MappedFile(folder / "ids")
    return Examples(
        np.frombuffer(ids, PARTS["ids"]),
        read("lengths"),
        read("second_starts") if about["paired"] else None,
        about["truncated"],
        ids,
    )
