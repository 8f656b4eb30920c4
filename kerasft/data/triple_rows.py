"""Rows of a text and the triples in it: subject, relation, object."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from kerasft.data.faults import BadValue, Source, shown
from kerasft.data.intake import Paths, files
from kerasft.data.jsonl import parse_object, pick
from kerasft.data.mentions import (
    PLACE,
    place_in,
    text_and_words,
)
from kerasft.data.table_rows import TableRows, gather_table, json_lines, listed

TRIPLE = pa.struct(
    [("subject", PLACE), ("relation", pa.large_string()), ("object", PLACE)]
)
TYPES = {"text": pa.large_string(), "triples": pa.large_list(TRIPLE)}
KEYS = ("subject", "relation", "object")


@dataclass(frozen=True, eq=False, repr=False, kw_only=True)
class TripleRows(TableRows):
    """Texts with triples; made by the readers, never by hand.

    Columns: text and, with `has_labels`, triples: a list of subject and object (start
    and end, in characters) and relation. `labels` are the relations of the corpus, in
    alphabetical order.
    """

    has_labels: bool
    labels: tuple[str, ...]

    def __repr__(self):
        return f"TripleRows({len(self):,} rows, {len(self.labels)} relations)"

    def __getitem__(self, i: int) -> dict:
        """Row `i`: text and triples."""
        return self.cells(i, tuple(TYPES)[: 1 + self.has_labels])

    @property
    def label_type(self) -> str:
        """Either "triples" or "none"."""
        return "triples" if self.has_labels else "none"

    def texts(self, start: int = 0, stop: int | None = None) -> list[str]:
        """Texts of rows `start` to `stop`, without the latter."""
        return self.column("text", start, stop)

    @cached_property
    def label_counts(self) -> dict[str, int]:
        """How many triples have each relation."""
        counts = dict.fromkeys(self.labels, 0)
        for triples in self.column("triples") if self.has_labels else ():
            for triple in triples:
                counts[triple["relation"]] += 1
        return counts


def read_triples_jsonl(  # noqa: PLR0913 - the keys, each named by the user
    path: Paths,
    text: str,
    triples: str | None = None,
    keys: Sequence[str] = KEYS,
    *,
    encoding: str = "utf-8",
    on_bad_rows: str = "error",
) -> TripleRows:
    """Read one JSON object a line.

    Args:
        path: one file, or several that make one corpus.
        text: key of the text, or of a list of its words.
        triples: key of the list of triples: objects with `keys`, or lists of three;
            None: there are none.
        keys: what a triple's subject, relation and object are called, such as
            ("subject", "predicate", "object"). A subject or object is {"start": int,
            "end": int} or [start, end], without the last (characters; of a list of
            words, words); or a text, of which the first place is taken.
        encoding: as Python names it; it is never guessed.
        on_bad_rows: "error" stops with the list of bad rows; "skip" leaves them out and
            writes them to `rejected.csv` beside the first file.

    Raises:
        DataError: bad rows.
    """
    names = [text] if triples is None else [text, triples]

    def parse(raw):
        return triple_row(*pick(parse_object(raw), names), keys=keys)

    sources = tuple(map(Source, files(path)))
    lines = json_lines(sources, encoding)
    return _gathered(lines, parse, triples is not None, sources, on_bad_rows)


def from_triples(
    texts: Sequence, triples: Sequence[Sequence] | None = None
) -> TripleRows:
    """Rows from lists of one length.

    Args:
        texts: texts, or lists of words.
        triples: of each a list of (subject, relation, object), or of dicts with these
            keys; subject and object as of `read_triples_jsonl`.

    Raises:
        DataError: lists of different lengths; bad values.
    """
    return _gathered(
        listed([texts, triples]),
        lambda row: triple_row(*row),
        triples is not None,
        (Source("triples", indexed=True),),
    )


def triple_row(text, triples=None, keys=KEYS) -> dict:
    """One row, checked.

    Raises:
        BadValue: something else than a text and triples of places in it.
    """
    whole, words = text_and_words(text)
    if triples is None:
        return {"text": whole}
    if not isinstance(triples, list | tuple | np.ndarray):
        raise BadValue(f"the triples {shown(triples)}", "a list")
    return {
        "text": whole,
        "triples": [_triple(triple, whole, words, keys) for triple in triples],
    }


def _triple(value, text, words, keys):
    if isinstance(value, Mapping):
        values = pick(dict(value), tuple(keys))
    elif isinstance(value, list | tuple) and len(value) == len(KEYS):
        values = value
    else:
        raise BadValue(f"the triple {shown(value)}", ", ".join(keys))
    subject, relation, thing = values
    if not isinstance(relation, str) or not relation.strip():
        raise BadValue(f"the relation {shown(relation)}", "a name")
    return {
        "subject": place_in(subject, text, words),
        "relation": relation,
        "object": place_in(thing, text, words),
    }


def _gathered(rows, parse, has_labels, sources, on_bad_rows="error"):
    types = {name: TYPES[name] for name in tuple(TYPES)[: 1 + has_labels]}
    table, rejected = gather_table(rows, parse, types, sources, on_bad_rows)
    labels = ()
    if has_labels:
        triples = pc.list_flatten(table["triples"])
        names = pc.unique(pc.struct_field(triples, "relation"))
        labels = tuple(sorted(names.to_pylist()))
    return TripleRows(
        table=table,
        sources=sources,
        rejected=rejected,
        has_labels=has_labels,
        labels=labels,
    )
