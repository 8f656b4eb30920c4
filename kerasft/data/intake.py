"""Check rows block by block as a source yields them, and make `Rows` of the good ones.

A reader brings columns of Python values; here the user's column names get their
meaning, each value is checked, and every bad row is noted before anything is raised.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from os import PathLike
from types import MappingProxyType

import numpy as np
import pyarrow as pa

from kerasft._errors import DataError, SettingsError
from kerasft.data.faults import BadValue, Fault, Source, did_you_mean
from kerasft.data.labels import LabelReader, ordered, raise_if_variants, text_of
from kerasft.data.rejects import FaultLog
from kerasft.data.rows import TEXTS, Rows
from kerasft.data.store import RowStore

ROWS_PER_BLOCK = 8192
Paths = str | PathLike | Sequence[str | PathLike]


@dataclass(frozen=True)
class Columns:
    """Which of the user's columns is what; `label` may name several."""

    text: str
    label: str | Sequence[str] | None = None
    text_pair: str | None = None
    label_type: str | None = None
    label_separator: str | None = None
    from_text: bool = False
    negative: str | None = None

    def __post_init__(self):
        if self.negative is not None and self.text_pair is None:
            raise SettingsError(
                "negative without text_pair: a text that does not belong to the first "
                "needs one that does. Name its column in text_pair."
            )
        if self.label is None and (self.label_type or self.label_separator):
            raise SettingsError(
                "label_type without a label column: pass label as well."
            )
        if isinstance(self.label, list):
            object.__setattr__(self, "label", tuple(self.label))
        names = Counter(self.names)
        if len(names) < len(self.names):
            twice = ", ".join(repr(n) for n, count in names.items() if count > 1)
            raise SettingsError(f"Column {twice} is asked for twice. Name it once.")

    @property
    def label_columns(self) -> tuple[str, ...]:
        """The label columns, as a tuple."""
        if self.label is None:
            return ()
        return self.label if isinstance(self.label, tuple) else (self.label,)

    @property
    def names(self) -> tuple[str, ...]:
        """All columns that are read."""
        return (*self.texts.values(), *self.label_columns)

    @property
    def texts(self) -> dict[str, str]:
        """text, text_pair, negative, as there are -> the user's names."""
        named = {name: vars(self)[name] for name in TEXTS}
        return {name: column for name, column in named.items() if column is not None}

    def raise_if_missing(self, there: Sequence[str], where: str, hint: str = ""):
        """Refuse a source that lacks a column, or has a column name twice.

        Raises:
            DataError: lists the columns there are.
        """
        twice = [repr(n) for n, count in Counter(there).items() if count > 1]
        if twice:
            raise DataError(
                f"{where}: found column {', '.join(twice)} twice, expected each name "
                "once. Rename one."
            )
        missing = [name for name in self.names if name not in there]
        if missing:
            named_by = {name: key for key, name in self.texts.items()}
            named_by |= dict.fromkeys(self.label_columns, "label")
            meant = "".join(did_you_mean(name, there) for name in missing)
            told = ", ".join(f"{name!r} for {named_by[name]}" for name in missing)
            raise DataError(
                f"{where}: found no column {told}; the "
                f"columns are {', '.join(map(repr, there))}.{meant}{hint}"
            )

    def reader(self) -> LabelReader | None:
        """What reads the label values."""
        if self.label is None:
            return None
        several = self.label if isinstance(self.label, tuple) else None
        return LabelReader(
            self.label_type, self.label_separator, several, self.from_text
        )

    def meanings(self) -> dict[str, str | tuple[str, ...]]:
        """`Rows.columns`: text, text_pair, negative, label -> the user's names."""
        label = {} if self.label is None else {"label": self.label}
        return self.texts | label


@dataclass(frozen=True)
class Block:
    """Some rows of source number `source`: `values` by column, lists of one length."""

    source: int
    lines: Sequence[int]
    values: dict[str, list]
    raws: Sequence[str] | None = None
    faults: list[Fault] = field(default_factory=list)


def files(path: Paths) -> list[str]:
    """The names of one file or of several.

    Raises:
        DataError: the list is empty.
    """
    paths = [path] if isinstance(path, str | PathLike) else list(path)
    if not paths:
        raise DataError("path=[]: expected at least one file.")
    return [str(path) for path in paths]


def in_blocks(rows: int, values: Callable[[slice], dict[str, list]]) -> Iterator[Block]:
    """Blocks of a source that can be sliced; `values` gives the columns of a slice."""
    for start in range(0, rows, ROWS_PER_BLOCK):
        stop = min(start + ROWS_PER_BLOCK, rows)
        yield Block(0, range(start, stop), values(slice(start, stop)))


def gather(
    blocks: Iterable[Block],
    columns: Columns,
    sources: tuple[Source, ...],
    on_bad_rows: str = "error",
    names: Sequence[str] = (),
) -> Rows:
    """Make `Rows` of all blocks.

    Args:
        blocks: read once, in order.
        columns: what to take from them.
        sources: what `Block.source` counts.
        on_bad_rows: "error" or "skip".
        names: label names that a source declares, whether a row has them or not.

    Raises:
        DataError: bad rows, mixed kinds of labels, spelling variants of a label.
    """
    reader = columns.reader()
    log = FaultLog(sources, on_bad_rows)
    try:
        with RowStore() as store:
            for block in blocks:
                log.add(
                    block.source, _keep_good(block, columns, reader, store, sources)
                )
            if reader:
                reader.raise_if_mixed()
            log.close(store.rows)
            table, content, mapped = store.finish()
    except BaseException:
        log.abandon()
        raise
    rows = Rows(
        table,
        MappingProxyType(columns.meanings()),
        sources,
        reader.label_type if reader else "none",
        (),
        content,
        log.count,
        mapped=mapped,
    )
    return rows if rows.label_type in ("none", "number") else _named(rows, names)


def _keep_good(block, columns, reader, store, sources):
    """Append the good rows of a block to the store; return the faults of the others."""
    bad: dict[int, BadValue] = {}
    kept = {
        name: _texts(block.values[column], column, bad)
        for name, column in columns.texts.items()
    }
    if reader:
        place = sources[block.source]
        labels = [block.values[name] for name in columns.label_columns]
        several = isinstance(columns.label, tuple)
        labels = list(zip(*labels, strict=True)) if several else labels[0]
        kept["label"] = reader.read(labels, bad, lambda i: place.where(block.lines[i]))
    good = [i for i in range(len(block.lines)) if i not in bad] if bad else None
    if good is None or good:
        types = {"label": reader.arrow_type()} if reader else {}
        arrays = {
            name: pa.array(
                values if good is None else [values[i] for i in good],
                types.get(name, pa.large_string()),
            )
            for name, values in kept.items()
        }
        lines = np.asarray(block.lines, np.int64)
        arrays["line"] = pa.array(lines if good is None else lines[good])
        arrays["source"] = pa.array(
            np.full(len(arrays["line"]), block.source, np.int32)
        )
        store.append(arrays)
    return block.faults + [
        fault.at(block.lines[i], block.raws[i] if block.raws else "")
        for i, fault in bad.items()
    ]


def _texts(values, column, bad):
    texts = [None] * len(values)
    for index, value in enumerate(values):
        try:
            texts[index] = text_of(value, column)
        except BadValue as error:
            bad.setdefault(index, error)
    return texts


def _named(rows, declared):
    """`rows` with the tuple of its label names."""
    counted = Counter()
    for batch in rows._batches(("label",)):
        column = batch["label"]
        column = column if rows.label_type == "name" else column.flatten()
        for entry in column.value_counts().to_pylist():
            counted[entry["values"]] += entry["counts"]
    raise_if_variants(counted, rows.first_with)
    columns = rows.columns["label"]
    if isinstance(columns, tuple):
        declared = columns
    return replace(rows, labels=ordered(set(counted) | set(declared)))
