"""Start several workers of one command on this machine, to try training on many.

Each gets a `TF_CONFIG` of its own, as a cluster would give it. When one of them is lost
the others cannot go on, so all are ended and started again; with the snapshots of a run
they go on where they were.
"""

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from kerasft._errors import KerasftError, SettingsError
from kerasft.training.settings import Settings, at_least, setting
from kerasft.workflows.console import ERRORS

LAUNCHED = ("finetune", "pretrain", "search")
ENDS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
MISTAKE = 2
PATIENCE = 20  # seconds that a worker has to end when it is asked to
LINES = 15


class LaunchError(KerasftError, RuntimeError):
    """The workers have failed, and have been started again as often as allowed."""


@dataclass(frozen=True, kw_only=True)
class LaunchSettings(Settings):
    """Launch."""

    workers: int = setting(2, "processes to start", at_least(1))
    restarts: int = setting(
        3, "how often all are started again after one was lost", at_least(0)
    )
    command: list[str] = setting(help="what each runs; on the command line after --")

    def conflicts(self):
        """Settings that do not go together, one sentence each."""
        problems = super().conflicts()
        if not self.command or self.command[0] not in LAUNCHED:
            problems.append(
                f"what follows -- is one of {', '.join(LAUNCHED)}: kerasft launch "
                "--workers 2 -- finetune ..."
            )
        elif self.searches and any(part.startswith("--jobs") for part in self.command):
            problems.append("--workers and --jobs say the same of a search; give one")
        return problems

    @property
    def searches(self):
        """Whether the workers are to work on trials of a search."""
        return self.command[0] == "search"


def launch(settings: LaunchSettings):
    """Start several workers of a command on this machine, to try distributed training.

    Workers of a search are not a cluster that trains one model: each works on a trial
    of its own, and the process that asks KerasTuner for trials starts them.

    Raises:
        SettingsError: the command of the workers is refused; the first one tells why.
        LaunchError: workers were lost too often.
    """
    command = [sys.executable, "-m", "kerasft", *settings.command]
    if settings.searches:
        command += ["--jobs", str(settings.workers)]
    for attempt in range(settings.restarts + 1):
        with ExitStack() as stack:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            cluster = [{}] if settings.searches else _cluster(settings.workers)
            begun = attempt and not settings.searches
            again = ["--no-restart"] if begun else []  # --restart is for the first.
            codes = _watched(_start([*command, *again], cluster, folder))
            if not any(codes):
                return
            if MISTAKE in codes:
                raise SettingsError("The workers refuse their command; see above.")
            told = _last_words(folder)
        left = settings.restarts - attempt
        ERRORS.print(f"A worker was lost (exit codes {codes}).\n{told}")
        if left:
            ERRORS.print(f"Starting all again; {left} more times at most.")
    raise LaunchError(f"The workers failed {settings.restarts + 1} times; see above.")


def free_ports(count: int) -> list[int]:
    """Ports of this machine that nobody uses now."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]


def _cluster(count):
    """What each worker of a cluster on this machine has in its environment."""
    addresses = [f"127.0.0.1:{port}" for port in free_ports(count)]
    tasks = [{"type": "worker", "index": index} for index in range(count)]
    told = [{"cluster": {"worker": addresses}, "task": task} for task in tasks]
    return [{"TF_CONFIG": json.dumps(one)} for one in told]


def _start(command, environments, folder):
    """Start the workers; the first one's output is ours, the others' goes to files."""
    workers = []
    for index, own in enumerate(environments):
        with (folder / str(index)).open("w") as log:
            output = {"stdout": log, "stderr": log} if index else {}
            # A group of its own, so that a signal comes from us, and not twice.
            started = subprocess.Popen(
                command, env=os.environ | own, process_group=0, **output
            )
            workers.append(started)
    return workers


def _watched(workers):
    """Wait until all have ended, and end all when one has failed; the exit codes."""

    asked = []  # The signals that ask for an end.

    def pass_on(number, frame):
        asked.append(number)
        for worker in workers:
            worker.send_signal(number)

    before = {number: signal.signal(number, pass_on) for number in ENDS}
    try:
        while any(worker.poll() is None for worker in workers):
            time.sleep(0.2)
            if any(worker.poll() for worker in workers):
                break
    finally:
        codes = [worker.poll() for worker in workers]
        _end(workers)
        for number, handler in before.items():
            signal.signal(number, handler)
    found = [code for code in codes if code is not None]
    if asked and any(found):
        sys.exit(128 + asked[0])
    if 128 + signal.SIGTERM in found or 128 + signal.SIGINT in found:
        sys.exit(max(found))
    return found


def _end(workers):
    """Ask all that still run to end, and kill those that do not."""
    for worker in workers:
        if worker.poll() is None:
            worker.terminate()
    for worker in workers:
        try:
            worker.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            worker.kill()
            worker.wait()


def _last_words(folder):
    """The end of what the other workers have said."""
    found = []
    for file in sorted(folder.iterdir()):
        lines = file.read_text(errors="replace").splitlines()[-LINES:]
        if lines:
            found.append(f"worker {file.name} said last:\n  " + "\n  ".join(lines))
    return "\n".join(found)
