"""Check tagged rows one by one, and make `TaggedRows` of the good ones."""

from collections.abc import Iterable

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from kerasft.data.faults import BadValue, shown
from kerasft.data.table_rows import gather_table
from kerasft.data.tagged import COLUMNS, TaggedRows, tag_order, tags_of_types

SPAN = pa.struct(
    [("start", pa.int32()), ("end", pa.int32()), ("label", pa.large_string())]
)
TYPES = {
    "words": pa.large_list(pa.large_string()),
    "tags": pa.large_list(pa.large_string()),
    "text": pa.large_string(),
    "spans": pa.large_list(SPAN),
}


def word_row(words, tags=None, names=()):
    """One row of words and tags; `names` are those of tags that are numbers.

    Raises:
        BadValue: something else.
    """
    if not isinstance(words, list | tuple | np.ndarray) or not len(words):
        raise BadValue(shown(words), "a list of words")
    words = list(words)
    if not all(isinstance(word, str) and word.strip() for word in words):
        odd = next(w for w in words if not (isinstance(w, str) and w.strip()))
        raise BadValue(f"the word {shown(odd)}", "text")
    if tags is None:
        return {"words": words}
    if not isinstance(tags, list | tuple | np.ndarray) or len(tags) != len(words):
        count = (
            len(tags) if isinstance(tags, list | tuple | np.ndarray) else shown(tags)
        )
        raise BadValue(f"{count} tags for {len(words)} words", "one for each word")
    return {"words": words, "tags": [_tag(tag, names) for tag in tags]}


def _tag(tag, names):
    if isinstance(tag, int | np.integer) and 0 <= tag < len(names):
        return str(names[tag])
    if isinstance(tag, str) and tag.strip() and not names:
        return tag
    if isinstance(tag, str) and tag in names:
        return tag
    expected = f"a number below {len(names)}" if len(names) else "a name"
    fix = "" if len(names) else "Numbers need names=[...], in their order."
    raise BadValue(f"the tag {shown(tag)}", expected, fix)


def span_row(text, spans=None):
    """One row of a text and its spans, in order.

    Raises:
        BadValue: something else; spans that overlap or lie outside.
    """
    if not isinstance(text, str):
        raise BadValue(shown(text), "text")
    if spans is None:
        return {"text": text}
    if not isinstance(spans, list | tuple):
        raise BadValue(shown(spans), "a list of spans")
    found = sorted((_span(span, text) for span in spans), key=lambda s: s["start"])
    for before, after in zip(found, found[1:], strict=False):
        if after["start"] < before["end"]:
            raise BadValue(
                f"spans that overlap: {before} and {after}", "one label a character"
            )
    return {"text": text, "spans": found}


def _span(span, text):
    keys = ("start", "end", "label")
    try:
        values = [span[k] for k in keys] if isinstance(span, dict) else list(span)
        start, end, label = values
        fits = 0 <= start < end <= len(text) and isinstance(label, str) and label
    except (KeyError, TypeError, ValueError):
        fits = False
    if not fits or isinstance(start, bool | float):
        raise BadValue(
            f"the span {shown(span)}",
            f"start, end and label, within {len(text):,} characters",
        )
    return {"start": int(start), "end": int(end), "label": label}


def gather_tagged(rows: Iterable, parse, kind, tagged, sources, on_bad_rows="error"):
    """`TaggedRows` of (source, line, raw) where `parse` makes a dict of columns."""
    names = COLUMNS[kind][: 1 + tagged]
    types = {name: TYPES[name] for name in names}
    table, rejected = gather_table(rows, parse, types, sources, on_bad_rows)
    labels = ()
    if tagged and kind == "words":
        tags = pc.unique(pc.list_flatten(table["tags"]))
        labels = tag_order(tags.to_pylist())
    elif tagged:
        spans = pc.list_flatten(table["spans"])
        labels = tags_of_types(set(pc.struct_field(spans, "label").to_pylist()))
    return TaggedRows(
        table=table,
        sources=sources,
        rejected=rejected,
        kind=kind,
        has_labels=tagged,
        labels=labels,
    )
