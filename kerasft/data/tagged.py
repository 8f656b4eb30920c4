"""Tagged rows: words with a tag each, or a text with labelled spans of characters.

One immutable object over an Arrow table, like `Rows`; a selection holds row numbers.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from hashlib import sha256

import numpy as np
import pyarrow as pa

from kerasft._errors import DataError
from kerasft.data.faults import Source

OUTSIDE = "O"
COLUMNS = {"words": ("words", "tags"), "spans": ("text", "spans")}
BLOCK = 4096


@dataclass(frozen=True, eq=False, repr=False)
class TaggedRows:
    """Texts with tags; made by the readers, never by hand.

    `kind` is "words" (columns words, tags) or "spans" (columns text, spans, where a
    span is start, end and label, in characters). `labels` are the tags: of words, those
    of the corpus; of spans, B- and I- of each label. `rejected` counts bad rows that
    were skipped.
    """

    table: pa.Table
    kind: str
    has_labels: bool
    labels: tuple[str, ...]
    sources: tuple[Source, ...]
    rejected: int = 0
    index: np.ndarray | None = None

    def __len__(self):
        return self.table.num_rows if self.index is None else len(self.index)

    def __repr__(self):
        return f"TaggedRows({len(self):,} rows, {self.kind}, {len(self.labels)} tags)"

    def __getitem__(self, i: int) -> dict:
        """Row `i`: its words and tags, or its text and spans."""
        i = self._number(i)
        names = COLUMNS[self.kind][: 1 + self.has_labels]
        return {name: self.column(name, i, i + 1)[0] for name in names}

    @property
    def label_type(self) -> str:
        """Either "tags" or "none"."""
        return "tags" if self.has_labels else "none"

    @property
    def has_pairs(self) -> bool:
        """Never: each row is one text."""
        return False

    def texts(self, start: int = 0, stop: int | None = None) -> list[str]:
        """Texts of rows `start` to `stop`, without the latter; words with a space."""
        if self.kind == "spans":
            return self.column("text", start, stop)
        return [" ".join(words) for words in self.column("words", start, stop)]

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 (hex) of words or texts and their labels, in order."""
        digest = sha256()
        for i in range(0, len(self), BLOCK):
            for name in COLUMNS[self.kind][: 1 + self.has_labels]:
                told = json.dumps(self.column(name, i, i + BLOCK))
                digest.update(f"{name}{told}".encode())
        return digest.hexdigest()

    @cached_property
    def empty_texts(self) -> int:
        """How many rows are nothing but white space."""
        return sum(not text.strip() for text in self.texts())

    def column(self, name: str, start: int = 0, stop: int | None = None) -> list:
        """Values of one column, of rows `start` to `stop`, without the latter."""
        start, stop, _ = slice(start, stop).indices(len(self))
        column = self.table.column(name)
        if self.index is None:
            return column.slice(start, max(0, stop - start)).to_pylist()
        return column.take(pa.array(self.index[start:stop])).to_pylist()

    def select(self, indices: Sequence[int]) -> "TaggedRows":
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
        i = self._number(i)
        source = self.sources[self.column("source", i, i + 1)[0]]
        return source.where(self.column("line", i, i + 1)[0])

    @cached_property
    def label_counts(self) -> dict[str, int]:
        """How many words have each tag, or how many spans each label."""
        counts = dict.fromkeys(self.labels if self.kind == "words" else (), 0)
        name = "tags" if self.kind == "words" else "spans"
        for values in self.column(name) if self.has_labels else ():
            for value in values:
                label = value if self.kind == "words" else value["label"]
                counts[label] = counts.get(label, 0) + 1
        return counts

    def _number(self, i):
        if not -len(self) <= i < len(self):
            raise IndexError(f"row {i} of {len(self)}")
        return i % len(self)


def tag_order(names) -> tuple[str, ...]:
    """Tags in their usual order: O first, then by type, B- before I-."""

    def place(name):
        prefix, dash, kind = name.partition("-")
        if name == OUTSIDE or not dash:
            return (name != OUTSIDE, name, -1)
        return (True, kind, "BISELU".find(prefix))

    return tuple(sorted(set(names), key=place))


def tags_of_types(types, prefixes="BI") -> tuple[str, ...]:
    """The tags of some entity types: O, then one of each prefix for each type."""
    return (OUTSIDE, *(f"{p}-{kind}" for kind in sorted(types) for p in prefixes))
