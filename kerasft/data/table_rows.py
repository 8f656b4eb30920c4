"""What all rows but plain texts are: an Arrow table, checked row by row as it is read.

A selection holds row numbers, never the rows themselves.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from hashlib import sha256

import numpy as np
import pyarrow as pa

from kerasft._errors import DataError
from kerasft.data.faults import BadValue, Source
from kerasft.data.rejects import FaultLog
from kerasft.data.textfile import read_blocks

BLOCK = 4096


@dataclass(frozen=True, eq=False, repr=False, kw_only=True)
class TableRows:
    """Rows of a table with the columns source and line, and others.

    `rejected` counts bad rows that were skipped.
    """

    table: pa.Table
    sources: tuple[Source, ...]
    rejected: int = 0
    index: np.ndarray | None = None

    def __len__(self):
        return self.table.num_rows if self.index is None else len(self.index)

    def column(self, name: str, start: int = 0, stop: int | None = None) -> list:
        """Values of one column, of rows `start` to `stop`, without the latter."""
        start, stop, _ = slice(start, stop).indices(len(self))
        column = self.table.column(name)
        if self.index is None:
            return column.slice(start, max(0, stop - start)).to_pylist()
        return column.take(pa.array(self.index[start:stop])).to_pylist()

    def cells(self, i: int, names: Sequence[str]) -> dict:
        """The named values of row `i`."""
        i = self._number(i)
        return {name: self.column(name, i, i + 1)[0] for name in names}

    @property
    def has_pairs(self) -> bool:
        """Never: what a row is, its own column names tell."""
        return False

    def texts(self, start: int = 0, stop: int | None = None) -> list[str]:
        """Rows `start` to `stop`, without the latter, each as one text for people."""
        raise NotImplementedError

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 (hex) of all that stands in the rows, in order."""
        digest = sha256()
        names = [n for n in self.table.column_names if n not in ("source", "line")]
        for i in range(0, len(self), BLOCK):
            for name in names:
                told = json.dumps(self.column(name, i, i + BLOCK))
                digest.update(f"{name}{told}".encode())
        return digest.hexdigest()

    @cached_property
    def empty_texts(self) -> int:
        """How many rows are nothing but white space."""
        return sum(not text.strip() for text in self.texts())

    def select(self, indices: Sequence[int]):
        """The rows with these numbers, in this order.

        Raises:
            DataError: a number is outside 0 to len(rows) - 1.
        """
        indices = np.asarray(indices, np.int64)
        outside = indices[(indices < 0) | (indices >= len(self))]
        if outside.size:
            raise DataError(
                f"Row numbers {outside[:5].tolist()} are outside 0 to {len(self) - 1}."
            )
        index = indices if self.index is None else self.index[indices]
        return replace(self, index=index)

    def where(self, i: int) -> str:
        """Where row `i` came from: `train.conll:12`."""
        cells = self.cells(i, ("source", "line"))
        return self.sources[cells["source"]].where(cells["line"])

    def _number(self, i):
        if not -len(self) <= i < len(self):
            raise IndexError(f"row {i} of {len(self)}")
        return i % len(self)


def gather_table(
    rows: Iterable[tuple[int, int, object]],
    parse: Callable[[object], dict],
    types: dict[str, pa.DataType],
    sources: tuple[Source, ...],
    on_bad_rows: str = "error",
) -> tuple[pa.Table, int]:
    """A table of the good rows, and how many others were skipped.

    Args:
        rows: of each its source's number, its line and what `parse` takes.
        parse: makes a dict of columns, or raises `BadValue`.
        types: of the columns.
        sources: of the rows.
        on_bad_rows: "error", or "skip".

    Raises:
        DataError: bad rows that are not to be skipped, all of them told; no good ones.
    """
    columns = {name: [] for name in (*types, "source", "line")}
    log = FaultLog(sources, on_bad_rows)
    try:
        for source, line, raw in rows:
            try:
                row = parse(raw)
            except BadValue as error:
                told = "\n".join(raw) if isinstance(raw, list) else str(raw)
                log.add(source, [error.at(line, told)])
                continue
            for name in types:
                columns[name].append(row[name])
            columns["source"].append(source)
            columns["line"].append(line)
        log.close(len(columns["line"]))
    except BaseException:
        log.abandon()
        raise
    arrays = {
        name: pa.array(values, types.get(name)) for name, values in columns.items()
    }
    return pa.table(arrays), log.count


def listed(columns: Sequence[Sequence | None]) -> Iterator[tuple[int, int, tuple]]:
    """Source 0, number and values of each row of lists of one length.

    Args:
        columns: lists; None: the value of each row is None.

    Raises:
        DataError: lists of different lengths.
    """
    lengths = [len(values) for values in columns if values is not None]
    if len(set(lengths)) > 1:
        raise DataError(f"Lists of different lengths: {lengths}. Expected one length.")
    whole = [[None] * lengths[0] if values is None else values for values in columns]
    return ((0, i, row) for i, row in enumerate(zip(*whole, strict=True)))


def json_lines(
    sources: Sequence[Source], encoding: str
) -> Iterator[tuple[int, int, str]]:
    """Source, line and text of each line of files that is not blank."""
    for number, source in enumerate(sources):
        line = 0
        for block in read_blocks(source.name, encoding):
            for raw in block.split("\n")[:-1]:
                line += 1
                if raw.strip():
                    yield number, line, raw
