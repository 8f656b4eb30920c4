"""What is seen of a search at work: on a terminal a table and a bar, else lines."""

from rich.console import Group
from rich.live import Live
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
)

from kerasft.workflows.console import ERRORS, RESULTS, as_text
from kerasft.workflows.search_results import values_line

SHOWN = 15
"""Last trials on the screen."""


class Screen:
    """Shows a search until it ends.

    Args:
        most: trials at most.
        jobs: trials at work at once.
    """

    def __init__(self, most: int, jobs: int):
        self.most, self.jobs = most, jobs
        self._told = set()
        self._bar = Progress(
            TextColumn("trials"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.description}"),
            console=ERRORS,
        )
        self._task = self._bar.add_task("", total=most)
        self._live = Live(console=ERRORS, auto_refresh=False, transient=True)

    def __enter__(self):
        if ERRORS.is_terminal:
            self._live.start()
        return self

    def __exit__(self, *error):
        self._live.stop()

    def go_on(self, found):
        """Say what has ended before, if anything has."""
        self._told = {one["id"] for one in found.trials if one["state"] != "running"}
        if self._told:
            RESULTS.print(
                f"Going on: {len(self._told)} of {self.most} trials at most ended "
                "before."
            )

    def show(self, found):
        """Show a `Found`."""
        ended = [one for one in found.trials if one["state"] != "running"]
        if ERRORS.is_terminal:
            left = remaining_seconds(ended, self.most, self.jobs)
            about = "" if left is None else f"about {_time(left)} left"
            self._bar.update(self._task, completed=len(ended), description=about)
            self._live.update(Group(_last(found), self._bar), refresh=True)
            return
        for one in ended:
            if one["id"] not in self._told:
                self._told.add(one["id"])
                RESULTS.print(line_of(one, found.monitor, len(self._told), self.most))
                left = remaining_seconds(ended, self.most, self.jobs)
                if left:
                    RESULTS.print(f"  about {_time(left)} left")


def remaining_seconds(ended: list, most: int, jobs: int) -> float | None:
    """An estimate from the trials that have ended; None before the first."""
    seconds = [one["seconds"] for one in ended if one["seconds"]]
    if not seconds:
        return None
    return max(0, most - len(ended)) * sum(seconds) / len(seconds) / jobs


def line_of(one: dict, monitor: str, number: int, most: int) -> str:
    """A trial that has ended, in one line."""
    came = f"failed: {one['reason']}"
    if one["state"] == "completed":
        came = f"{monitor} {one['score']:.5g} (epoch {one['epoch']})"
    return f"trial {one['id']} ({number} of {most} at most): {values_line(one)}: {came}"


def _last(found):
    return (
        as_text(found.table()).split("\n")[0]
        + "\n"
        + "\n".join(as_text(found.table()).split("\n")[1:][-SHOWN:])
    )


def _time(seconds):
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}"
