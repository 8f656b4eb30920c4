"""Collect the faults of one reading: raise them together, or set the rows aside.

`rejected.csv` stands beside the first source file and has the columns file, line,
reason, raw. It is written in full or not at all, and keeps what earlier readings of
*other* files put there. A NUL in `raw` is shown as U+2400, for CSV cannot hold it.
"""

import csv
import os
from pathlib import Path

from kerasft._errors import DataError, SettingsError
from kerasft.data.delimited import DelimitedText
from kerasft.data.faults import Fault, Source
from kerasft.data.textfile import read_blocks

SHOWN = 20
HEADER = ["file", "line", "reason", "raw"]


class FaultLog:
    """The faults found so far.

    Args:
        sources: the files or objects that are read, in order.
        on_bad_rows: "error", or "skip" to set bad rows aside; "skip" needs files.
    """

    def __init__(self, sources: tuple[Source, ...], on_bad_rows: str = "error"):
        if on_bad_rows not in ("error", "skip"):
            raise SettingsError(
                f"on_bad_rows={on_bad_rows!r}: expected 'error' or 'skip'."
            )
        self.count = 0
        self._sources = sources
        self._first = []
        self._aside = _Aside(sources) if on_bad_rows == "skip" else None

    def add(self, source: int, faults: list[Fault]):
        """Note the faults of one block of rows of source number `source`."""
        place = self._sources[source]
        for fault in sorted(faults, key=lambda fault: fault.line):
            self.count += 1
            if len(self._first) < SHOWN:
                where = place.where(fault.line, fault.column)
                self._first.append(f"  {where}: {fault}")
            if self._aside:
                self._aside.write(place.name, fault)

    def close(self, good: int):
        """End the reading, which found `good` rows.

        Raises:
            DataError: there are bad rows that are not to be skipped, or no good ones.
        """
        if self.count and not (self._aside and good):
            raise DataError(self._message(good))
        if self._aside:
            self._aside.close()
        if not good:
            names = ", ".join(source.name for source in self._sources)
            raise DataError(f"{names}: found no rows, expected at least one.")

    def abandon(self):
        """End the reading without a trace, because something else went wrong."""
        if self._aside:
            self._aside.abandon()

    def _message(self, good):
        more = self.count - len(self._first)
        rows = "row" if self.count == 1 else "rows"
        lines = [f"{self.count:,} bad {rows}, {good:,} good:", *self._first]
        if more:
            lines.append(f"  … and {more:,} more.")
        skip = ', or set on_bad_rows to "skip" to leave them out' if good else ""
        return "\n".join([*lines, f"Mend them{skip}."])


class _Aside:
    """The bad rows on their way to rejected.csv."""

    def __init__(self, sources):
        self._path = Path(sources[0].name).parent / "rejected.csv"
        self._names = {source.name for source in sources}
        self._temporary = self._path.with_name(f".rejected.csv.{os.getpid()}")
        self._file = None

    def write(self, name, fault):
        try:
            if self._file is None:
                self._open()
            raw = fault.raw.replace("\0", "\u2400")
            self._writer.writerow([name, fault.line, str(fault), raw])
        except OSError as error:
            raise DataError(
                f"Cannot write {self._path}: {error.strerror}. Skipped rows are listed "
                "there: make the folder writable, or copy the data to one that is."
            ) from error

    def _open(self):
        earlier = list(self._earlier())
        self._file = open(self._temporary, "w", encoding="utf-8", newline="")
        self._writer = csv.writer(self._file)
        self._writer.writerows([HEADER, *earlier])

    def _earlier(self):
        if not self._path.exists():
            return
        name = str(self._path)
        rows = DelimitedText(name, read_blocks(name), ",")
        if rows.header != HEADER:
            raise DataError(
                f"{name} is not a list of rejected rows: its columns are "
                f"{', '.join(rows.header)}. Rename it, so that it is not overwritten."
            )
        for records in rows:
            yield from (row for row in records.fields if row[0] not in self._names)

    def close(self):
        if self._file:
            self._file.flush()
            os.fsync(self._file.fileno())
            self._file.close()
            os.replace(self._temporary, self._path)

    def abandon(self):
        if self._file:
            self._file.close()
            self._temporary.unlink(missing_ok=True)
