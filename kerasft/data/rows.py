"""Rows: texts and labels as the user has them, from whatever source.

One immutable object over an Arrow table, which lies in memory or, when large, in a
mapped file. A selection holds row numbers, never texts: splits and samples of a large
corpus cost eight bytes a row.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from hashlib import sha256

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from kerasft._errors import DataError
from kerasft.data.faults import Source, did_you_mean
from kerasft.data.mapped import MappedFile

TEXTS = ("text", "text_pair", "negative")
_BLANK = r"\A[\s\p{Z}\p{Cc}\p{Cf}]*\z"  # Cf: zero-width marks, which tokenizers drop


@dataclass(frozen=True, eq=False, repr=False)
class Rows:
    """Text rows with their labels; made by the readers, never by hand.

    `columns` says which of the user's columns is "text", "text_pair", "negative" (a
    third text, which does not belong to the first) and "label".
    `label_type` is "none", "name", "names" or "number"; `labels` are all names of the
    corpus, also in a selection of it that lacks some: whole numbers in numeric order,
    else by code point. `rejected` counts the bad rows that were skipped. `mapped` is
    the file that a large table lies in.
    """

    table: pa.Table
    columns: Mapping[str, str | tuple[str, ...]]
    sources: tuple[Source, ...]
    label_type: str
    labels: tuple[str, ...]
    content: str
    rejected: int = 0
    index: np.ndarray | None = None
    mapped: MappedFile | None = None

    def __len__(self):
        return self.table.num_rows if self.index is None else len(self.index)

    def __repr__(self):
        return f"Rows({len(self):,} rows, {dict(self.columns)}, {self.label_type})"

    def __getitem__(self, i: int) -> dict:
        """Row `i` under the user's own column names."""
        i = self._number(i)
        row = {
            self.columns[name]: self._column(name, i, i + 1)[0]
            for name in self.text_columns
        }
        if self.label_type == "none":
            return row
        label = self._column("label", i, i + 1)[0]
        column = self.columns["label"]
        if isinstance(column, str):
            return row | {column: label}
        if self.label_type == "names":
            label = [int(name in label) for name in column]
        return row | dict(zip(column, label, strict=True))

    @property
    def text_columns(self) -> tuple[str, ...]:
        """Which of "text", "text_pair" and "negative" there are."""
        return tuple(name for name in TEXTS if name in self.columns)

    @property
    def has_pairs(self) -> bool:
        """Whether each row has two texts."""
        return "text_pair" in self.columns

    def texts(self, start: int = 0, stop: int | None = None) -> list[str]:
        """The texts of rows `start` to `stop`, without the latter."""
        return self._column("text", start, stop)

    def text_pairs(self, start: int = 0, stop: int | None = None) -> list[str]:
        """The second texts of rows `start` to `stop`, without the latter.

        Raises:
            DataError: the rows have no second text.
        """
        if not self.has_pairs:
            raise DataError(
                f"The rows of {self.sources[0].name} have one text each. Name the "
                "second column in text_pair when reading them."
            )
        return self._column("text_pair", start, stop)

    def texts_of(
        self, column: str, start: int = 0, stop: int | None = None
    ) -> list[str]:
        """The texts of one of `text_columns`, of rows `start` to `stop`."""
        return self._column(column, start, stop)

    def select(self, indices: Sequence[int]) -> "Rows":
        """The rows with these numbers, in this order; a number may occur twice.

        Raises:
            DataError: a number is outside 0 to len(rows) - 1, or no whole number.
        """
        indices = np.asarray(indices)
        if indices.size and indices.dtype.kind not in "iu":
            raise DataError(
                f"Expected row numbers, not {indices.dtype}: of a mask, pass "
                "np.flatnonzero(mask)."
            )
        indices = indices.astype(np.int64)
        outside = indices[(indices < 0) | (indices >= len(self))]
        if outside.size:
            raise DataError(
                f"Row numbers {outside[:5].tolist()} of {outside.size:,} asked for are "
                f"outside 0 to {len(self) - 1:,}."
            )
        index = indices if self.index is None else self.index[indices]
        index.setflags(write=False)
        return replace(self, index=index)

    def where(self, i: int) -> str:
        """Where row `i` came from: `reviews.csv:12`."""
        i = self._number(i)
        source = self.sources[self._column("source", i, i + 1)[0]]
        return source.where(self._column("line", i, i + 1)[0])

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 (hex) of texts and labels in order, wherever they were read from."""
        if self.index is None:
            return self.content
        return sha256(self.content.encode() + self.index.tobytes()).hexdigest()

    @cached_property
    def empty_texts(self) -> int:
        """How many rows have a text (first or further) of nothing but white space."""
        empty = 0
        for batch in self._batches(TEXTS):
            blank = pa.array(np.zeros(batch.num_rows, bool))
            for name in self.text_columns:
                found = pc.match_substring_regex(batch[name], _BLANK)
                blank = pc.or_(blank, found)
            empty += blank.true_count
        return empty

    @cached_property
    def label_counts(self) -> dict[str, int]:
        """Rows per label name, in the order of `labels`."""
        counts = dict.fromkeys(self.labels, 0)
        for batch in self._batches(("label",)) if self.labels else ():
            names = batch["label"]
            names = names if self.label_type == "name" else names.flatten()
            for entry in pc.value_counts(names).to_pylist():
                counts[entry["values"]] += entry["counts"]
        return counts

    def label_array(self, labels: Sequence[str]) -> np.ndarray:
        """The labels as numbers; `labels` says which class has which number.

        Returns:
            "name": int32 (rows,); "names": float32 (rows, classes) of 0 and 1;
            "number": float32 (rows,) or (rows, numbers), and `labels` is not used.

        Raises:
            DataError: the rows have no labels, or names that are not in `labels`.
        """
        if self.label_type == "none":
            raise DataError(
                f"The rows of {self.sources[0].name} have no labels. Name their column "
                "in label when reading them."
            )
        if self.label_type == "number":
            first = self.table.column("label")[0].as_py()
            width = (len(first),) if isinstance(first, list) else ()
            parts = [_numbers(b["label"], width) for b in self._batches(("label",))]
            return np.concatenate(parts)
        self._raise_if_unknown(labels)
        known = pa.array(labels, pa.large_string())
        parts = [_classes(b["label"], known) for b in self._batches(("label",))]
        return np.concatenate(parts)

    def _raise_if_unknown(self, labels):
        if len(set(labels)) < len(labels):
            raise DataError(f"A name stands twice in labels={list(labels)}.")
        known = set(labels)
        unknown = [
            n for n, count in self.label_counts.items() if count and n not in known
        ]
        if unknown:
            lines = [
                f"  {name!r}: {self.label_counts[name]:,} rows, first "
                f"{self.first_with(name)}.{did_you_mean(name, labels)}"
                for name in unknown[:20]
            ]
            if len(unknown) > 20:
                lines.append(f"  … and {len(unknown) - 20:,} more.")
            raise DataError(
                f"{len(unknown):,} labels are not among the model's {len(labels):,} "
                f"({', '.join(map(repr, list(labels)[:20]))}):\n"
                + "\n".join(lines)
                + "\nMend the rows, or train with these labels too."
            )

    def first_with(self, name: str) -> str:
        """Where the first row with this label name came from."""
        start = 0
        for batch in self._batches(("label",)):
            column = batch["label"]
            rows = np.arange(len(column))
            if self.label_type == "names":
                rows = column.value_parent_indices().to_numpy()
                column = column.flatten()
            found = pc.index(column, name).as_py()
            if found >= 0:
                return self.where(start + int(rows[found]))
            start += batch.num_rows
        raise DataError(f"No row has the label {name!r}.")

    def _number(self, i):
        if not -len(self) <= i < len(self):
            raise IndexError(f"Row {i} of {len(self):,}.")
        return int(i) % len(self)

    def _column(self, name, start, stop):
        start, stop, _ = slice(start, stop).indices(len(self))
        column = self.table.column(name)
        if self.index is None:
            values = column.slice(start, max(0, stop - start)).to_pylist()
        else:
            values = _taken(column, self.index[start:stop]).to_pylist()
        if self.mapped and stop - start > 1:  # For one row it would take too long.
            self.mapped.release()
        return values

    def _batches(self, names, size=65_536):
        """Record batches of some columns, in row order, whatever the selection."""
        table = self.table.select([n for n in names if n in self.table.column_names])
        for batch in self._record_batches(table, size):
            yield batch
            if self.mapped:
                self.mapped.release()

    def _record_batches(self, table, size):
        if self.index is None:
            yield from table.to_batches(max_chunksize=size)
            return
        for start in range(0, max(1, len(self)), size):  # one, if empty
            part = self.index[start : start + size]
            columns = {n: _taken(table.column(n), part) for n in table.column_names}
            yield pa.record_batch(columns)


def _taken(column, index):
    """`column.take(index)` by chunks: Arrow's own first copies the whole column."""
    ends = np.cumsum([len(chunk) for chunk in column.chunks])
    owner = np.searchsorted(ends, index, side="right")
    order = np.argsort(owner, kind="stable")
    parts = []
    for number in np.unique(owner):
        chunk = column.chunk(number)
        start = ends[number] - len(chunk)
        parts.append(chunk.take(pa.array(index[owner == number] - start)))
    if not parts:
        return pa.array([], column.type)
    place = np.empty(len(index), np.int64)
    place[order] = np.arange(len(index))
    return pa.concat_arrays(parts).take(pa.array(place))


def _classes(column, known):
    if not pa.types.is_large_list(column.type):
        return (
            pc.index_in(column, known).to_numpy(zero_copy_only=False).astype(np.int32)
        )
    array = np.zeros((len(column), len(known)), np.float32)
    classes = pc.index_in(column.flatten(), known).to_numpy(zero_copy_only=False)
    array[column.value_parent_indices().to_numpy(), classes] = 1
    return array


def _numbers(column, width):
    numbers = column.flatten() if width else column
    return numbers.to_numpy().astype(np.float32).reshape(len(column), *width)
