"""Read text rows from files of text and from Python objects.

Every reader takes the user's own column names and gives `Rows`, or one `DataError` that
lists what is wrong with file, line and column. `label` may name several columns: then
`label_type` is "number" (several numbers a row) or "names" (cells of 0 and 1).
The binary formats are in `columnar.py`.
"""

from collections.abc import Iterable, Sequence
from itertools import islice

from kerasft._errors import DataError
from kerasft.data.delimited import DelimitedText
from kerasft.data.faults import BadValue, Source
from kerasft.data.intake import (
    ROWS_PER_BLOCK,
    Block,
    Columns,
    Paths,
    files,
    gather,
    in_blocks,
)
from kerasft.data.jsonl import parse_object, pick
from kerasft.data.rows import Rows
from kerasft.data.textfile import read_blocks


def read_csv(  # noqa: PLR0913 - the columns and the dialect, each named by the user
    path: Paths,
    text: str,
    label: str | Sequence[str] | None = None,
    text_pair: str | None = None,
    *,
    label_type: str | None = None,
    delimiter: str = ",",
    encoding: str = "utf-8",
    on_bad_rows: str = "error",
    label_separator: str | None = None,
    negative: str | None = None,
) -> Rows:
    """Read delimited text with a header line.

    Args:
        path: one file, or several that make one corpus.
        text: the column of the text.
        label: the column of the label, or several columns.
        text_pair: the column of a second text.
        label_type: "name" (default), "names" (several, split at `label_separator`; an
            empty cell is no name) or "number".
        delimiter: one character.
        encoding: as Python names it; it is never guessed.
        on_bad_rows: "error" stops with the list of bad rows; "skip" leaves them out and
            writes them to `rejected.csv` beside the first file.
        label_separator: what stands between the names in one cell.
        negative: the column of a third text, which does not belong to the first, as
            `text_pair` does.

    Raises:
        DataError: bad rows, a missing column, another encoding, label names that
            differ only by case or white space.

    Source: RFC 4180; line ends may be mixed, blank lines are skipped.
    """
    columns = Columns(
        text,
        label,
        text_pair,
        label_type,
        label_separator,
        from_text=True,
        negative=negative,
    )
    sources = tuple(map(Source, files(path)))
    blocks = _delimited_blocks(sources, columns, delimiter, encoding)
    return gather(blocks, columns, sources, on_bad_rows)


def read_tsv(  # noqa: PLR0913 - as read_csv
    path: Paths,
    text: str,
    label: str | Sequence[str] | None = None,
    text_pair: str | None = None,
    *,
    label_type: str | None = None,
    encoding: str = "utf-8",
    on_bad_rows: str = "error",
    label_separator: str | None = None,
    negative: str | None = None,
) -> Rows:
    """Read text delimited by tabs; all else as `read_csv`."""
    return read_csv(
        path,
        text,
        label,
        text_pair,
        label_type=label_type,
        delimiter="\t",
        encoding=encoding,
        on_bad_rows=on_bad_rows,
        label_separator=label_separator,
        negative=negative,
    )


def read_jsonl(  # noqa: PLR0913 - as read_csv
    path: Paths,
    text: str,
    label: str | Sequence[str] | None = None,
    text_pair: str | None = None,
    *,
    label_type: str | None = None,
    encoding: str = "utf-8",
    on_bad_rows: str = "error",
    label_separator: str | None = None,
    negative: str | None = None,
) -> Rows:
    """Read one JSON object a line, strictly; blank lines are skipped.

    Without `label_type`, text and whole numbers are "name", lists of them "names",
    decimal numbers "number". Arguments and errors are those of `read_csv`.

    Source: RFC 8259, jsonlines.org.
    """
    columns = Columns(
        text, label, text_pair, label_type, label_separator, negative=negative
    )
    sources = tuple(map(Source, files(path)))
    blocks = _json_blocks(sources, columns.names, encoding)
    return gather(blocks, columns, sources, on_bad_rows)


def from_lists(
    texts: Sequence[str],
    labels: Sequence | None = None,
    text_pairs: Sequence[str] | None = None,
    label_type: str | None = None,
    negatives: Sequence[str] | None = None,
) -> Rows:
    """Rows from lists of one length; `label_type` as in `read_jsonl`.

    Args:
        texts: of each row the first or only text.
        labels: names, lists of names, numbers or lists of numbers.
        text_pairs: of each row a second text.
        label_type: "name", "names" or "number"; None: by the labels.
        negatives: of each row a third text, which does not belong to the first, as the
            second does.

    Raises:
        DataError: the lists differ in length, or hold bad values.
    """
    given = {"text": texts, "text_pair": text_pairs, "label": labels}
    given |= {"negative": negatives}
    given = {name: list(values) for name, values in given.items() if values is not None}
    lengths = {name: len(values) for name, values in given.items()}
    if len(set(lengths.values())) > 1:
        raise DataError(f"Lists of different lengths: {lengths}. Expected one length.")
    named = {name: name for name in given if name != "text"}
    blocks = in_blocks(
        lengths["text"],
        lambda part: {name: values[part] for name, values in given.items()},
    )
    columns = Columns("text", label_type=label_type, **named)
    return gather(blocks, columns, (Source("texts", indexed=True),))


def from_rows(
    rows: Iterable[dict],
    text: str,
    label: str | Sequence[str] | None = None,
    text_pair: str | None = None,
    *,
    label_type: str | None = None,
    negative: str | None = None,
) -> Rows:
    """Rows from an iterable of dicts, read once: a generator may be larger than memory.

    Raises:
        DataError: a row lacks a column or holds a bad value.
    """
    columns = Columns(text, label, text_pair, label_type, negative=negative)
    blocks = _dict_blocks(0, enumerate(rows), columns.names, lambda row: row)
    return gather(blocks, columns, (Source("rows", indexed=True),))


def _delimited_blocks(sources, columns, delimiter, encoding):
    for number, source in enumerate(sources):
        text = DelimitedText(source.name, read_blocks(source.name, encoding), delimiter)
        hint = _delimiter_hint(text.header, columns.names, delimiter)
        columns.raise_if_missing(text.header, f"{source.name}:1", hint)
        places = {name: text.header.index(name) for name in columns.names}
        for records in text:
            values = {n: [row[i] for row in records.fields] for n, i in places.items()}
            lines, raws, faults = records.lines, records.raws, records.faults
            yield Block(number, lines, values, raws, faults)


def _delimiter_hint(header, names, delimiter):
    """Say so when another delimiter would give the columns."""
    joined = delimiter.join(header)
    for other in ",;\t|":
        if other != delimiter and set(names) <= set(joined.split(other)):
            return f" The header reads {joined!r}: pass delimiter={other!r}."
    if len(header) == 1 and (other := next((o for o in ",;\t|" if o in joined), "")):
        return f" The header has one column, {joined!r}: pass delimiter={other!r}."
    return ""


def _json_blocks(sources, names, encoding):
    for number, source in enumerate(sources):
        lines = _json_lines(source.name, encoding)
        yield from _dict_blocks(number, lines, names, parse_object)


def _json_lines(path, encoding):
    first = 1
    for block in read_blocks(path, encoding):
        lines = block.split("\n")[:-1]
        for number, line in enumerate(lines, first):
            if line.strip(" \t\r"):
                yield number, line.removesuffix("\r")
        first += len(lines)


def _dict_blocks(source, numbered, names, parse):
    """Blocks of (line, item), where `parse` makes a dict of the item."""
    while batch := list(islice(numbered, ROWS_PER_BLOCK)):
        lines, picked, raws, faults = [], [], [], []
        for line, item in batch:
            try:
                picked.append(pick(parse(item), names))
            except BadValue as error:
                faults.append(error.at(line, item))
            else:
                lines.append(line)
                raws.append(item)
        values = {name: [row[i] for row in picked] for i, name in enumerate(names)}
        yield Block(source, lines, values, raws, faults)
