"""What can be wrong with one row, and where a row stands in its source.

A `Fault` says what was found, what was expected and what to do; `FaultLog` in
`rejects.py` collects them, so that one reading finds them all.
"""

import difflib
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Source:
    """A file, whose lines count from 1, or a Python object, indexed from 0."""

    name: str
    indexed: bool = False

    def where(self, line: int, column: int | None = None) -> str:
        """`reviews.csv:12`, `reviews.csv:12:5` or `frame.iloc[11]`."""
        if self.indexed:
            return f"{self.name}[{line}]"
        return f"{self.name}:{line}" + (f":{column}" if column else "")


@dataclass(frozen=True)
class Fault:
    """One bad row: `line` and `column` (characters) count from 1."""

    line: int
    found: str
    expected: str
    fix: str = ""
    column: int | None = None
    raw: str = ""

    def __str__(self):
        fix = f" {self.fix}" if self.fix else ""
        return f"found {self.found}, expected {self.expected}.{fix}"


class BadValue(Exception):
    """A value of a row that cannot be used; the reader makes a `Fault` of it."""

    def __init__(self, found, expected, fix="", column=None):
        super().__init__(found)
        self.found, self.expected, self.fix, self.column = found, expected, fix, column

    def at(self, line: int, raw: str) -> Fault:
        """The fault of the row that starts in `line` and reads `raw`."""
        return Fault(line, self.found, self.expected, self.fix, self.column, raw)


def shown(value, limit: int = 60) -> str:
    """`value` as it stands in a message: quoted, escaped, cut at `limit`."""
    if isinstance(value, str | bytes | list | tuple):
        if len(value) > limit:
            return repr(value[:limit])[: 2 * limit] + "…"
    return ascii(value)[: 2 * limit]


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """` Did you mean 'label'?`, or nothing when no name is close."""
    close = difflib.get_close_matches(name.casefold(), [k.casefold() for k in known], 1)
    meant = [k for k in known if close and k.casefold() == close[0]]
    return f" Did you mean {meant[0]!r}?" if meant else ""
