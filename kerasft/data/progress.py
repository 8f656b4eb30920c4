"""A bar for work over many rows, on standard error: results may be on the other."""

from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.progress import TimeRemainingColumn as Remaining

SHOWN_FROM = 20_000


@contextmanager
def bar(what: str, total: int, shown_from: int = SHOWN_FROM) -> Iterator:
    """Give a function to call with the number of rows just done.

    Args:
        what: the work, as a heading of the bar.
        total: rows in all.
        shown_from: with fewer rows nothing is shown.
    """
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(
        *columns,
        Remaining(),
        console=Console(stderr=True),
        disable=total < shown_from,
    ) as progress:
        task = progress.add_task(what, total=total)
        yield lambda done: progress.advance(task, done)
