"""The rows of a file with all of the user's columns, as a stream, and back to a file.

In: a file that a reader has already checked, so what is read here is known to be good.
Out: one dict a row, in order. Writing is whole or not at all.
"""

import csv
import json
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from kerasft._errors import DataError
from kerasft.training.column_settings import ColumnSettings
from kerasft.workflows.row_files import ending_of

BLOCK = 1024


def user_rows(path: str, columns: ColumnSettings) -> Iterator[dict]:
    """All columns of each row of a file."""
    readers = {
        ".csv": _delimited,
        ".tsv": _delimited,
        ".jsonl": _json_lines,
        ".parquet": _parquet,
    }
    return readers[ending_of(path)](path, columns)


def lines_of_input(encoding: str) -> Iterator[dict]:
    """The lines of standard input, each a row with the column "text".

    Raises:
        DataError: a line is not in this encoding.
    """
    for number, line in enumerate(sys.stdin.buffer, 1):
        try:
            yield {"text": line.decode(encoding).rstrip("\r\n")}
        except UnicodeDecodeError as error:
            raise DataError(
                f"standard input:{number}: found {line[error.start :][:4]!r}, expected "
                f"{encoding} text. Pass the encoding it is in."
            ) from error


def _delimited(path, columns):
    from kerasft.data.delimited import DelimitedText
    from kerasft.data.textfile import read_blocks

    given = "\t" if ending_of(path) == ".tsv" else columns.delimiter or ","
    text = DelimitedText(path, read_blocks(path, columns.encoding), given)
    for records in text:
        for fields in records.fields:
            yield dict(zip(text.header, fields, strict=True))


def _json_lines(path, columns):
    from kerasft.data.jsonl import parse_object
    from kerasft.data.textfile import read_blocks

    for block in read_blocks(path, columns.encoding):
        for line in block.split("\n"):
            if line.strip(" \t\r"):
                yield parse_object(line)


def _parquet(path, columns):
    import pyarrow.parquet as pq

    with pq.ParquetFile(path) as file:
        for batch in file.iter_batches(BLOCK):
            yield from batch.to_pylist()


@contextmanager
def row_writer(out: str) -> Iterator[Callable[[dict], None]]:
    """Give a function that writes one row; the file appears when the block succeeds.

    Args:
        out: a .jsonl or .csv file, or "-": JSON lines to standard output.
    """
    if out == "-":
        yield _json_writer(sys.stdout)
        return
    path = Path(out).expanduser()
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with new.open("w", encoding="utf-8", newline="") as file:
            csv_file = path.suffix.lower() == ".csv"
            yield _CsvRows(file).write if csv_file else _json_writer(file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(new, path)
    finally:
        new.unlink(missing_ok=True)


def _json_writer(file):
    return lambda row: file.write(_json(row) + "\n")


def _json(row):
    # default: dates and such from Parquet.
    return json.dumps(row, ensure_ascii=False, default=str)


class _CsvRows:
    """Rows as CSV; the first one says what the columns are."""

    def __init__(self, file):
        self._writer = csv.writer(file)
        self._header = None

    def write(self, row):
        if self._header is None:
            self._header = list(row)
            self._writer.writerow(self._header)
        extra = [name for name in row if name not in self._header]
        if extra:
            raise DataError(
                f"A row has the column {extra[0]!r}, which the first row has not, so "
                "it fits no CSV. Write to a .jsonl file."
            )
        self._writer.writerow([_cell(row.get(name)) for name in self._header])


def _cell(value):
    return _json(value) if isinstance(value, dict | list) else value
