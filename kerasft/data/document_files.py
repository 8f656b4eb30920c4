"""Plain text files as rows, one document each, for tasks that need no labels."""

from collections.abc import Iterator
from itertools import islice

from kerasft._errors import SettingsError
from kerasft.data.faults import Source
from kerasft.data.intake import ROWS_PER_BLOCK, Block, Columns, Paths, files, gather
from kerasft.data.rows import Rows
from kerasft.data.textfile import read_blocks

UNITS = ("blocks", "lines")


def read_documents(path: Paths, unit: str = "blocks", *, encoding="utf-8") -> Rows:
    """Read text files of many documents; their column is "text".

    Args:
        path: one file, or several that make one corpus; no document is of two files.
        unit: what a document is. "blocks": lines up to a blank one, joined by line
            ends, as BERT's authors have it; "lines": each line that is not blank.
        encoding: as Python names it; it is never guessed.

    Raises:
        DataError: no such file, another encoding, or no document at all.
        SettingsError: an unknown unit.
    """
    if unit not in UNITS:
        raise SettingsError(f"unit is {unit!r}; known: {', '.join(UNITS)}.")
    sources = tuple(map(Source, files(path)))
    return gather(_blocks(sources, unit, encoding), Columns("text"), sources)


def _blocks(sources, unit, encoding):
    for number, source in enumerate(sources):
        found = _documents(source.name, unit, encoding)
        while some := list(islice(found, ROWS_PER_BLOCK)):
            lines, texts = map(list, zip(*some, strict=True))
            yield Block(number, lines, {"text": texts})


def _documents(path, unit, encoding) -> Iterator[tuple[int, str]]:
    """The first line's number and the text of each document."""
    held, first, number = [], 0, 0
    for block in read_blocks(path, encoding):
        for line in block.split("\n")[:-1]:
            number += 1
            some = line.strip()
            if some and not held:
                first = number
            if some:
                held.append(line.removesuffix("\r"))
            if held and (unit == "lines" or not some):
                yield first, "\n".join(held)
                held = []
    if held:
        yield first, "\n".join(held)
