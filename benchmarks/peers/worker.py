"""What every peer shares: the job, the clock, and the talk with the orchestrator.

In: a job file (JSON) as the only argument, then the word `run` per line on standard
input. Out: one JSON line on standard output when ready, and one per run. A worker
stays alive between runs, so that runs of all peers can alternate without loading
their libraries again. Trap: libraries print what they like to standard output, so it
is sent to standard error and the replies keep the real one to themselves.
"""

import json
import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib import metadata
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace


@dataclass
class Clock:
    """Seconds between marks; the first mark is its making."""

    marks: list[float] = field(default_factory=lambda: [time.perf_counter()])

    def mark(self) -> None:
        self.marks.append(time.perf_counter())

    @property
    def total(self) -> float:
        return self.marks[-1] - self.marks[0]

    @property
    def laps(self) -> list[float]:
        return [end - start for start, end in pairwise(self.marks)]


def read_rows(file: str) -> tuple[list[str], list[int]]:
    """Return texts and labels (0, 1, ...) of a JSONL file."""
    rows = [json.loads(line) for line in Path(file).read_text().splitlines()]
    return [row["text"] for row in rows], [row["label"] for row in rows]


def padding_share(lengths: list[int], slots: int) -> float:
    """Return which share of `slots` token places holds no token."""
    return 1 - sum(lengths) / slots


def peak_memory_mib() -> float:
    """Return the most memory this program has held so far.

    Not `getrusage`, whose maximum begins with what the process that started this one
    held.
    """
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024


def serve(
    start: Callable[[SimpleNamespace], Callable[[], dict]], packages: list[str]
) -> None:
    """Start with the job, then run once per line of standard input."""
    job = json.loads(
        Path(sys.argv[1]).read_text(), object_hook=lambda d: SimpleNamespace(**d)
    )
    replies = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    run = start(job)
    versions = {package: metadata.version(package) for package in packages}
    print(json.dumps({"versions": versions}), file=replies)
    for _ in sys.stdin:
        reply = {**run(), "peak_memory_mib": peak_memory_mib()}
        print(json.dumps(reply), file=replies)
