"""Starts one process per peer and makes their runs alternate.

In: the peers by name and a job for each. Out: what each run reported. All workers
inherit this process's two cores and its settings for threads. Trap: only one worker
computes at a time; the others wait on their standard input.
"""

import argparse
import json
import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

HERE = Path(__file__).parent


@dataclass(frozen=True)
class Peer:
    """What is compared: a script in `peers/`, the environment it runs in, extras."""

    environment: str
    script: str
    what: str
    options: dict = field(default_factory=dict)


def arguments(
    about: str, peers: dict[str, Peer], usual: tuple[str, ...]
) -> argparse.ArgumentParser:
    """Return the flags both benchmarks have."""
    parser = argparse.ArgumentParser(description=about)
    parser.add_argument("--runs", type=int, default=5, help="of every peer")
    parser.add_argument("--rows", type=int, help="take only so many (default: all)")
    parser.add_argument("--cores", type=int, default=2)
    parser.add_argument("--peers", nargs="+", choices=peers, default=usual)
    parser.add_argument(
        "--python",
        nargs="+",
        default=[],
        metavar="ENVIRONMENT=PYTHON",
        help="use this Python instead of making the environment",
    )
    parser.add_argument("--update-readme", action="store_true")
    return parser


def pin_cores(cores: int) -> None:
    """Keep this process and all it starts on its first `cores` cores.

    Raises:
        ValueError: the machine gives fewer cores than asked for.
    """
    free = sorted(os.sched_getaffinity(0))
    if len(free) < cores:
        raise ValueError(f"{cores} cores asked for, this process may use {len(free)}")
    os.sched_setaffinity(0, free[:cores])


class Worker:
    """A running peer; `run()` returns its report of one run."""

    def __init__(self, python: Path, script: str, job_file: Path, log_file: Path):
        job = json.loads(job_file.read_text())
        environment = {
            **os.environ,
            "PYTHONPATH": str(HERE.parent),
            "OMP_NUM_THREADS": str(job["threads"]),
            "TF_CPP_MIN_LOG_LEVEL": "3",
            "KERAS_BACKEND": job.get("backend", "tensorflow"),
            "HF_HUB_OFFLINE": "1",
        }
        if "backend" not in job:
            environment["CUDA_VISIBLE_DEVICES"] = ""
        if job.get("onednn"):
            environment["TF_ENABLE_ONEDNN_OPTS"] = "1"
        self.name, self.log_file = job_file.stem, log_file
        with log_file.open("w") as log:
            self.process = subprocess.Popen(
                [python, HERE / "peers" / script, job_file],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                env=environment,
            )
        self.versions = self._reply()["versions"]

    def run(self) -> dict:
        self.process.stdin.write("run\n")
        self.process.stdin.flush()
        return self._reply()

    def stop(self) -> None:
        self.process.stdin.close()
        self.process.wait()

    def _reply(self) -> dict:
        line = self.process.stdout.readline()
        if not line:
            end = "\n".join(self.log_file.read_text().splitlines()[-15:])
            raise RuntimeError(f"peer {self.name} died, see {self.log_file}:\n{end}")
        return json.loads(line)


@contextmanager
def started(
    peers: dict[str, Peer],
    job: dict,
    python_of: Callable[[str], Path],
    folder: Path,
) -> Iterator[dict[str, Worker]]:
    """Start all peers with the job (and their own options); stop them at the end."""
    folder.mkdir(parents=True, exist_ok=True)
    workers = {}
    try:
        for name, peer in peers.items():
            job_file = folder / f"{name}.json"
            job_file.write_text(json.dumps({**job, **peer.options}))
            python = python_of(peer.environment)
            log_file = job_file.with_suffix(".log")
            workers[name] = Worker(python, peer.script, job_file, log_file)
        yield workers
    finally:
        for worker in workers.values():
            worker.stop()


def alternate(workers: dict[str, Worker], runs: int) -> Iterator[tuple[str, dict]]:
    """Yield `(peer, report)` so that every peer runs once before any runs again.

    Every round begins with the next peer, so none always follows the same one.
    """
    names = list(workers)
    for turn in range(runs):
        shift = turn % len(names)
        for name in names[shift:] + names[:shift]:
            yield name, workers[name].run()
