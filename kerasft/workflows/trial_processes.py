"""Start trials as processes, share the machine among them, and see how they end."""

import os
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import kerasft
from kerasft.checkpoints.json_files import read_json
from kerasft.workflows import run_folder
from kerasft.workflows.flags import to_yaml
from kerasft.workflows.trial import LOG, RESULT, VALUES, reason_of_exit

GPUS = "CUDA_VISIBLE_DEVICES"
COMMAND = (sys.executable, "-m", "kerasft.workflows.trial")
"""What runs a trial; its folder follows."""


@dataclass
class Running:
    """A trial at work.

    Args:
        trial: of KerasTuner.
        folder: of its run.
        process: None where an earlier search has ended it.
        began: seconds of the clock.
    """

    trial: object
    folder: Path
    process: subprocess.Popen | None
    began: float

    def result(self) -> dict | None:
        """What came of it; None while it is at work.

        A process that left no result gets one that tells how it ended.
        """
        code = self.process.poll() if self.process else 0
        if code is None:
            return None
        path = self.folder / RESULT
        if not path.exists():
            reason = reason_of_exit(code, self.folder / LOG)
            seconds = time.time() - self.began
            failed = {"reason": reason, "refused": False, "seconds": seconds}
            run_folder.write_json(path, failed)
        return read_json(path)

    def stop(self):
        """End it at once."""
        if self.process and self.process.poll() is None:
            self.process.kill()
            self.process.wait()


def take_ended(running: dict) -> list:
    """Take the trials that have ended out of those at work.

    Args:
        running: place -> `Running`.

    Returns:
        (trial of KerasTuner, what came of it) of each.
    """
    results = {place: one.result() for place, one in running.items()}
    return [
        (running.pop(place).trial, result)
        for place, result in results.items()
        if result is not None
    ]


def start(trial, settings, values: dict, place: dict) -> Running:
    """Start one; what an earlier search has finished is not done again.

    Args:
        trial: of KerasTuner.
        settings: its recipe.
        values: what is told of it.
        place: variables of the environment, as of `places`.
    """
    folder = Path(settings.out)
    if (folder / RESULT).exists():
        return Running(trial, folder, None, time.time())
    if (folder / run_folder.METRICS).exists():
        shutil.rmtree(folder)  # Killed between its end and its result.
    if not (folder / run_folder.RECIPE).exists():  # Of one that goes on, it stays.
        run_folder.begin(folder, to_yaml(settings))
    run_folder.write_json(folder / VALUES, values)
    source = str(Path(kerasft.__file__).parents[1])
    known = os.environ.get("PYTHONPATH")
    paths = {"PYTHONPATH": os.pathsep.join([source, *([known] if known else [])])}
    with (folder / LOG).open("ab") as log:
        process = subprocess.Popen(
            [*COMMAND, str(folder)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            env=os.environ | place | paths,
            start_new_session=True,  # Ctrl-C is for the search, which ends them.
        )
    return Running(trial, folder, process, time.time())


def places(jobs: int) -> list[dict]:
    """The environment of each of several processes that share this machine.

    GPUs are dealt out; where one has several processes, each takes memory as it needs
    it. On CPUs alone the cores are divided.
    """
    if jobs == 1:
        return [{}]
    gpus = _gpus()
    if not gpus:
        threads = str(max(1, (os.cpu_count() or 1) // jobs))
        names = ("TF_NUM_INTRAOP_THREADS", "OMP_NUM_THREADS")
        return [dict.fromkeys(names, threads)] * jobs
    grow = {"TF_FORCE_GPU_ALLOW_GROWTH": "true"} if jobs > len(gpus) else {}
    return [
        {
            GPUS: ",".join(
                gpus[job :: min(jobs, len(gpus))] or gpus[job % len(gpus) :][:1]
            )
        }
        | grow
        for job in range(jobs)
    ]


def _gpus():
    """Names of the GPUs that may be used; this does not start them."""
    import tensorflow as tf

    count = len(tf.config.list_physical_devices("GPU"))
    named = os.environ.get(GPUS)
    return named.split(",")[:count] if named else [str(i) for i in range(count)]
