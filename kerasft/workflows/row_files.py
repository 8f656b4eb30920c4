"""Rows from a file, by its ending; a workflow names files, never readers."""

from pathlib import Path

import kerasft as kft
from kerasft._errors import DataError
from kerasft.training.column_settings import ColumnSettings
from kerasft.training.settings import Files

TEXT_ENDINGS = (".csv", ".tsv", ".jsonl")
ENDINGS = (*TEXT_ENDINGS, ".parquet")


def ending_of(path: Files) -> str:
    """The ending that all files share, in small letters.

    Raises:
        DataError: they differ, or it is none of `ENDINGS`.
    """
    names = [path] if isinstance(path, str) else path
    found = {Path(name).suffix.lower() for name in names}
    if len(found) != 1 or not found <= set(ENDINGS):
        raise DataError(
            f"{', '.join(names) or 'no file'}: expected files with one of the endings "
            f"{', '.join(ENDINGS)}, all the same. Rename or convert them."
        )
    return found.pop()


def read_rows(path: Files, columns: ColumnSettings, on_bad_rows="error"):
    """The rows of one file, or of several of one kind.

    Args:
        path: file or files.
        columns: what is what in them.
        on_bad_rows: "error" or "skip".

    Raises:
        DataError: bad rows, missing columns, unknown endings.
    """
    ending = ending_of(path)
    if columns.delimiter is not None and ending != ".csv":
        raise DataError(
            f"delimiter is {columns.delimiter!r}, but {path} is no .csv file."
        )
    options = {
        "text": columns.text,
        "label": columns.label,
        "text_pair": columns.text_pair,
        "negative": columns.negative,
        "label_type": columns.label_type,
        "label_separator": columns.label_separator,
        "on_bad_rows": on_bad_rows,
    }
    if ending in TEXT_ENDINGS:
        options["encoding"] = columns.encoding
    if ending == ".csv":
        options["delimiter"] = columns.delimiter or ","
    readers = {
        ".csv": kft.read_csv,
        ".tsv": kft.read_tsv,
        ".jsonl": kft.read_jsonl,
        ".parquet": kft.read_parquet,
    }
    return readers[ending](path, **options)
