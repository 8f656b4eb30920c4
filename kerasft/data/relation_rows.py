"""Rows of a text with two marked mentions, and what the first is to the second."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pyarrow as pa

from kerasft._errors import DataError
from kerasft.data.faults import BadValue, Source, did_you_mean, shown
from kerasft.data.intake import Paths, files
from kerasft.data.jsonl import parse_object, pick
from kerasft.data.mentions import (
    PLACE,
    place_in,
    text_and_words,
)
from kerasft.data.table_rows import TableRows, gather_table, json_lines, listed

TYPES = {
    "text": pa.large_string(),
    "head": PLACE,
    "tail": PLACE,
    "label": pa.large_string(),
}


@dataclass(frozen=True, eq=False, repr=False, kw_only=True)
class RelationRows(TableRows):
    """Texts with a head and a tail; made by the readers, never by hand.

    Columns: text, head and tail (start and end, in characters) and, with `has_labels`,
    label. `labels` are those of the corpus, in alphabetical order.
    """

    has_labels: bool
    labels: tuple[str, ...]

    def __repr__(self):
        return f"RelationRows({len(self):,} rows, {len(self.labels)} relations)"

    def __getitem__(self, i: int) -> dict:
        """Row `i`: text, head, tail and label."""
        return self.cells(i, tuple(TYPES)[: 3 + self.has_labels])

    @property
    def label_type(self) -> str:
        """Either "name" or "none"."""
        return "name" if self.has_labels else "none"

    def texts(self, start: int = 0, stop: int | None = None) -> list[str]:
        """Texts of rows `start` to `stop`, without the latter, with mentions marked."""
        columns = (self.column(name, start, stop) for name in ("text", "head", "tail"))
        return [marked(*row)[0] for row in zip(*columns, strict=True)]

    @cached_property
    def label_counts(self) -> dict[str, int]:
        """How many rows have each label."""
        counts = dict.fromkeys(self.labels, 0)
        for label in self.column("label") if self.has_labels else ():
            counts[label] += 1
        return counts

    def label_array(self, names: Sequence[str]) -> np.ndarray:
        """The number of each row's label among `names`, int32 (rows,).

        Raises:
            DataError: labels that are not among them.
        """
        number = {name: i for i, name in enumerate(names)}
        column = self.column("label")
        unknown = sorted(set(column) - set(names))
        if unknown:
            raise DataError(
                f"{self!r}: has the relations {', '.join(unknown[:20])}, but the task "
                f"knows {', '.join(names)}.{did_you_mean(unknown[0], names)}"
            )
        return np.array([number[label] for label in column], "int32")


def marked(text: str, head: Mapping, tail: Mapping) -> tuple[str, np.ndarray]:
    """A text with "@" around its head and "#" around its tail.

    Returns:
        It, and the character at which each of the four marks stands in it: before and
        after the head, before and after the tail.

    Source: Zhou and Chen 2021 (arXiv:2102.01373), section 2.2, "entity marker (punct)".
    """
    start, end, first, last = (m[k] for m in (head, tail) for k in ("start", "end"))
    # Where two stand at one place, what ends there comes before what begins, and of
    # two that begin or end together the shorter mention is the inner one.
    marks = sorted(
        (
            (start, 1, -end, 0, 0, "@ "),
            (end, 0, -start, 1, 1, " @"),
            (first, 1, -last, 1, 2, "# "),
            (last, 0, -first, 0, 3, " #"),
        )
    )
    parts, places, before, length = [], np.zeros(4, "int32"), 0, 0
    for place, begins, _, _, number, mark in marks:
        parts += [text[before:place], mark]
        length += place - before + len(mark)
        places[number] = length - (2 if begins else 1)
        before = place
    return "".join([*parts, text[before:]]), places


def read_relations_jsonl(  # noqa: PLR0913 - the keys, each named by the user
    path: Paths,
    text: str,
    head: str | Sequence[str],
    tail: str | Sequence[str],
    label: str | None = None,
    *,
    inclusive: bool = False,
    encoding: str = "utf-8",
    on_bad_rows: str = "error",
) -> RelationRows:
    """Read one JSON object a line.

    Args:
        path: one file, or several that make one corpus.
        text: key of the text, or of a list of its words.
        head: key of the first mention, {"start": int, "end": int} or [start, end]; or
            the two keys of its start and its end. They count characters; of a list of
            words, words.
        tail: the same of the second mention.
        label: key of the relation's name; None: there are no labels.
        inclusive: whether `end` is the last one, as in TACRED, and not the one after.
        encoding: as Python names it; it is never guessed.
        on_bad_rows: "error" stops with the list of bad rows; "skip" leaves them out and
            writes them to `rejected.csv` beside the first file.

    Raises:
        DataError: bad rows.
    """
    ends = [[key] if isinstance(key, str) else list(key) for key in (head, tail)]
    keys = [text, *ends[0], *ends[1], *([] if label is None else [label])]

    def parse(raw):
        found = pick(parse_object(raw), keys)
        given, sides = iter(found[1:]), []
        for names in ends:
            values = [next(given) for _ in names]
            sides.append(values[0] if len(names) == 1 else values)
        relation = None if label is None else found[-1]
        return relation_row(found[0], *sides, relation, label is not None, inclusive)

    sources = tuple(map(Source, files(path)))
    lines = json_lines(sources, encoding)
    return _gathered(lines, parse, label is not None, sources, on_bad_rows)


def from_relations(
    texts: Sequence,
    heads: Sequence,
    tails: Sequence,
    labels: Sequence[str] | None = None,
) -> RelationRows:
    """Rows from lists of one length.

    Args:
        texts: texts, or lists of words.
        heads: of each (start, end) of the first mention, without the last: characters;
            of a list of words, words.
        tails: the same of the second mention.
        labels: of each the relation's name.

    Raises:
        DataError: lists of different lengths; bad values.
    """
    labelled = labels is not None
    return _gathered(
        listed([texts, heads, tails, labels]),
        lambda row: relation_row(*row, labelled),
        labelled,
        (Source("relations", indexed=True),),
    )


def relations_of(rows: Sequence[Mapping]) -> RelationRows:
    """Rows without labels from dicts of text, head and tail.

    Raises:
        DataError: a dict lacks one, or has another value there.
    """
    return _gathered(
        ((0, i, row) for i, row in enumerate(rows)),
        lambda row: relation_row(*pick(row, ("text", "head", "tail"))),
        False,
        (Source("relations", indexed=True),),
    )


def relation_row(text, head, tail, label=None, labelled=False, inclusive=False) -> dict:
    """One row, checked.

    Raises:
        BadValue: something else than a text, two places in it and a name.
    """
    whole, words = text_and_words(text)
    row = {"text": whole}
    for name, value in (("head", head), ("tail", tail)):
        row[name] = place_in(_exclusive(value) if inclusive else value, whole, words)
    if labelled:
        if not isinstance(label, str) or not label.strip():
            raise BadValue(f"the relation {shown(label)}", "a name")
        row["label"] = label
    return row


def _exclusive(value):
    """The same place by the one after its last; what is no place stays."""
    try:
        if isinstance(value, Mapping):
            return {**value, "end": value["end"] + 1}
        start, end = value
        return start, end + 1
    except (KeyError, TypeError, ValueError):
        return value


def _gathered(rows, parse, has_labels, sources, on_bad_rows="error"):
    types = {name: TYPES[name] for name in tuple(TYPES)[: 3 + has_labels]}
    table, rejected = gather_table(rows, parse, types, sources, on_bad_rows)
    labels = sorted(set(table["label"].to_pylist())) if has_labels else ()
    return RelationRows(
        table=table,
        sources=sources,
        rejected=rejected,
        has_labels=has_labels,
        labels=tuple(labels),
    )
