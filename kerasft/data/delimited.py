"""Split delimited text (RFC 4180) into rows, and say what is wrong with the others.

The csv module is not used: to it an unclosed quote is a field that runs to the end of
the file, NUL and a bare carriage return are content, and 131,072 characters the limit.
Here a quoted field may hold line ends and be long; a quote that is never closed costs
its own line only, because reading goes on at the line after it.

Source: RFC 4180, section 2.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import chain

from kerasft._errors import DataError
from kerasft.data.faults import Fault, shown
from kerasft.data.textfile import MAX_RECORD

_SPECIAL = re.compile('["\0]|\r(?!\n)')
_QUOTED = re.compile('"[^"]*+(?:""[^"]*+)*+"')
_DOUBLE = "Double a quote inside a quoted field."
_ENCLOSE = "Put the field in quotes, and double the quotes inside it."
_UNCLOSED = (
    "a quote that is not closed",
    "a closing quote before the delimiter or the line end",
    _DOUBLE,
)
_STRAY = {
    '"': ("a quote in a field that has none around it", "text", _ENCLOSE),
    "\r": ("a carriage return without a line feed", "text", _ENCLOSE),
    "\0": ("a NUL character", "text", "Remove it."),
}


@dataclass
class Records:
    """The rows of one block; `lines` and `raws` go with `fields`, row by row."""

    lines: list[int] = field(default_factory=list)
    fields: list[list[str]] = field(default_factory=list)
    raws: list[str] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)


@dataclass(frozen=True)
class _Problem:
    offset: int
    found: str
    expected: str
    fix: str


class DelimitedText:
    """Iterate over blocks of text as `Records`; `header` is read at once.

    Args:
        name: of the file, for messages.
        blocks: strings that each end with a line end.
        delimiter: one character.
    """

    def __init__(self, name: str, blocks: Iterable[str], delimiter: str):
        if len(delimiter) != 1 or delimiter in '"\r\n\0':
            raise DataError(
                f"delimiter={delimiter!r}: expected one character, not a quote or a "
                "line end."
            )
        self.delimiter = delimiter
        stop = re.escape(delimiter)
        self._field = re.compile(
            f'(?:"([^"]*+(?:""[^"]*+)*+)"|([^"{stop}\r\n\0]*+))(?:({stop})|\r?\n)'
        )
        self._blocks = iter(blocks)
        self.header = self._read_header(name)

    def _read_header(self, name):
        """The first line that is not blank."""
        line = 1
        for block in self._blocks:
            start = re.match("(?:\r?\n)*", block).end()
            line += block.count("\n", 0, start)
            if start == len(block):
                continue
            header = self._split(block, start)
            if not isinstance(header, tuple):
                problem = self._blamed(block, start, header)
                column = problem.offset - block.rfind("\n", 0, problem.offset)
                raise DataError(
                    f"{name}:{line}:{column}: the header line: found {problem.found}, "
                    f"expected {problem.expected}. {problem.fix}"
                )
            fields, end = header
            self._line = line + block.count("\n", start, end)
            self._blocks = chain([block[end:]], self._blocks)
            return fields
        raise DataError(
            f"{name}: found an empty file, expected a header line and rows."
        )

    def __iter__(self) -> Iterator[Records]:
        pending = ""
        for block in self._blocks:
            text = pending + block
            records, used = self._records(text, MAX_RECORD)
            pending = text[used:]
            yield records
        if pending:
            yield self._records(pending, 0)[0]

    def _records(self, text, patience):
        """The rows of `text`, and how much of it is used up.

        A quote still open at the end is left over, for the next block may close it,
        unless more than `patience` characters follow it already.
        """
        records, start = Records(), 0
        while start < len(text):
            special = _SPECIAL.search(text, start)
            until = special.start() if special else len(text)
            plain = text.rfind("\n", start, until) + 1
            if plain > start:
                self._add_plain(records, text[start:plain])
                start = plain
                continue
            record = self._split(text, start)
            if record is None and len(text) - start <= patience:
                return records, start
            start = self._add(records, text, start, record)
        return records, len(text)

    def _add_plain(self, records, text):
        """Rows without a quote, where a line is a row."""
        lines = text.replace("\r\n", "\n").split("\n")[:-1]
        rows = [line.split(self.delimiter) for line in lines]
        width = len(self.header)
        if any(len(row) != width for row in rows) or width == 1:
            good = []
            for index, (line, row) in enumerate(zip(lines, rows, strict=True)):
                if len(row) == width and line:
                    good.append(index)
                elif line:
                    at = self._line + index
                    records.faults.append(self._wrong_width(at, row, line))
        else:
            good = range(len(rows))
        records.lines += [self._line + index for index in good]
        records.fields += [rows[index] for index in good]
        records.raws += [lines[index] for index in good]
        self._line += len(lines)

    def _wrong_width(self, line, row, raw):
        columns = f"{len(row)} column{'s' if len(row) > 1 else ''}"
        expected = f"{len(self.header)} as in the header"
        return Fault(line, columns, expected, _ENCLOSE, raw=raw)

    def _split(self, text, start):
        """(fields, end) of the row at `start`, a _Problem, or None: a quote is open."""
        fields, position = [], start
        while True:
            match = self._field.match(text, position)
            if match is None:
                return self._problem(text, position)
            quoted, plain, stop = match.groups()
            fields.append(plain if quoted is None else quoted.replace('""', '"'))
            position = match.end()
            if stop is None:
                break
        return fields, position

    def _problem(self, text, position):
        if text[position] == '"':
            closed = _QUOTED.match(text, position)
            if closed is None:
                return None
            found = f"{shown(text[closed.end()])} after a closing quote"
            return _Problem(closed.end(), found, "the delimiter or a line end", _DOUBLE)
        stray = _SPECIAL.search(text, position)
        return _Problem(stray.start(), *_STRAY[stray[0]])

    def _add(self, records, text, start, record):
        """Keep what `_split` found at `start`, row or fault; return the next start.

        A row over several lines that turns out wrong is blamed on the quote that opened
        the first of them, and only the lines up to that quote are given up.
        """
        if isinstance(record, tuple):
            fields, end = record
            raw = text[start:end].rstrip("\r\n")
            fits = len(fields) == len(self.header)
            if "\0" in raw and (fits or "\n" not in raw):
                problem = _Problem(text.index("\0", start), *_STRAY["\0"])
                return self._reject(records, text, start, end, problem)
            if fits:
                records.lines.append(self._line)
                records.fields.append(fields)
                records.raws.append(raw)
                return self._next(text, start, end)
            if "\n" not in raw:
                records.faults.append(self._wrong_width(self._line, fields, raw))
                return self._next(text, start, end)
        problem = self._blamed(text, start, record)
        end = text.index("\n", problem.offset) + 1
        return self._reject(records, text, start, end, problem)

    def _blamed(self, text, start, record):
        if isinstance(record, _Problem) and text.find("\n", start) > record.offset:
            return record
        position = start
        while match := self._field.match(text, position):
            if "\n" in (match[1] or ""):
                break
            position = match.end()
        return _Problem(position, *_UNCLOSED)

    def _reject(self, records, text, start, end, problem):
        line = self._line + text.count("\n", start, problem.offset)
        column = problem.offset - text.rfind("\n", 0, problem.offset)
        raw = text[start:end].rstrip("\r\n")
        records.faults.append(
            Fault(line, problem.found, problem.expected, problem.fix, column, raw)
        )
        return self._next(text, start, end)

    def _next(self, text, start, end):
        self._line += text.count("\n", start, end)
        return end
