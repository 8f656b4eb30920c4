"""A process that is killed again and again ends with the bits of one that was not."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from kerasft.training import snapshot

HERE = Path(__file__).parent
STEPS = 60


class Program:
    """The fit of `resumed_fit.py`, in processes.

    Args:
        checkpoint: a folder.
        place: where its files go.
    """

    def __init__(self, checkpoint, place):
        self.checkpoint, self.place = checkpoint, place
        places = [str(HERE.parent / "tasks"), *filter(None, sys.path)]
        self.environment = os.environ | {"PYTHONPATH": os.pathsep.join(places)}

    def started(self, name):
        """A process that works in the folder `name`."""
        out = self.place / f"{name}.npz"
        program = [sys.executable, str(HERE / "resumed_fit.py"), str(self.checkpoint)]
        return subprocess.Popen(
            [*program, str(self.place / name), str(out)], env=self.environment
        )

    def step(self, name):
        """The newest snapshot's."""
        found = snapshot.all_in(self.place / name)
        return int(found[-1].name.removeprefix("step-")) if found else 0

    def result(self, name):
        """What a finished one has left, or None."""
        file = self.place / f"{name}.npz"
        if not file.exists():
            return None
        with np.load(file) as arrays:
            return [arrays[key] for key in arrays.files]

    def kill_after(self, name, step, seconds):
        """Run until a step's snapshot is there, and a little longer; then kill."""
        child = self.started(name)
        while child.poll() is None and self.step(name) < step:
            time.sleep(0.001)
        time.sleep(seconds)
        child.send_signal(signal.SIGKILL)
        child.wait()


@pytest.fixture(scope="module")
def program(tiny_bert, tmp_path_factory):
    program = Program(tiny_bert, tmp_path_factory.mktemp("killed"))
    assert program.started("whole").wait() == 0
    return program


def raise_unless_same(program, name):
    if program.result(name) is None:
        assert program.started(name).wait() == 0
    pairs = zip(program.result("whole"), program.result(name), strict=True)
    assert all(np.array_equal(*pair) for pair in pairs)


@pytest.mark.slow
def test_killed_after_every_step(program):
    kills = 0
    while program.step("steps") < STEPS:
        program.kill_after("steps", program.step("steps") + 1, 0.0)
        kills += 1
    assert kills > STEPS // 2  # A step may end while the kill is on its way.
    raise_unless_same(program, "steps")


@pytest.mark.slow
def test_killed_at_a_hundred_random_moments(program):
    random, name, runs = np.random.default_rng(0), "moments-0", 0
    for _ in range(100):
        program.kill_after(name, program.step(name) + 1, random.uniform(0, 0.06))
        if program.step(name) >= STEPS:
            raise_unless_same(program, name)
            runs += 1
            name = f"moments-{runs}"
    raise_unless_same(program, name)
