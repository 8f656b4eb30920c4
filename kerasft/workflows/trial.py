"""One trial of a search, in a process of its own: `python -m kerasft.workflows.trial`.

A folder with `recipe.yaml` and `values.json` in, a run folder and `result.json` out:
the score, or the reason why there is none. The trap: a search that is killed must not
leave trials at work behind, which would write where the next search writes.
"""

import ctypes
import json
import math
import os
import re
import signal
import sys
import time
import traceback
from pathlib import Path

from kerasft._errors import KerasftError, SettingsError
from kerasft.workflows.flags import from_yaml
from kerasft.workflows.run_folder import RECIPE, logs_of, write_json

VALUES, RESULT, LOG = "values.json", "result.json", "log.txt"
DIE_WITH_PARENT = 1  # PR_SET_PDEATHSIG of Linux.
LONGEST_REASON = 300
# Of TensorFlow an exception of its own, of JAX a word in one for everything.
EXHAUSTED = re.compile("^ResourceExhaustedError|RESOURCE_EXHAUSTED")
ALLOCATED = re.compile(
    r"OOM when allocating tensor with shape\[[\d,]*\] and type \w+"
    r"|Out of memory (?:while trying to allocate|allocating) [\w.]+( bytes)?"
)


def main(folder: str):
    """Train as the recipe in a folder says, and write down what came of it."""
    place, began = Path(folder), time.time()
    try:
        result = _trained(place)
    except Exception as error:  # Of any kind: it is the reason of this trial alone.
        traceback.print_exc()
        refused = isinstance(error, KerasftError) and not isinstance(
            error, FloatingPointError
        )
        result = {"reason": reason_of(error), "refused": refused}
    write_json(place / RESULT, result | {"seconds": time.time() - began})


def _trained(place):
    from kerasft.training.summaries import Summaries
    from kerasft.workflows.finetune import FinetuneSettings
    from kerasft.workflows.training import trained_run

    settings = from_yaml(FinetuneSettings, place / RECIPE)
    values = json.loads((place / VALUES).read_text("utf-8"))
    run = trained_run(settings, compared=values)
    score, epoch = score_of(run, settings.monitor)
    board = Summaries(Path(logs_of(settings.tensorboard, place)) / "final")
    board.numbers({f"score/{settings.monitor}": score}, epoch)
    board.flush()
    return {"score": score, "epoch": epoch, "metrics": run.metrics["validation"]}


def score_of(run, monitor: str) -> tuple[float, int]:
    """The monitored value of the epoch that a run has kept, and which one that is.

    Raises:
        SettingsError: nothing of this name was measured.
        FloatingPointError: no epoch's value is a number.
    """
    values = run.history.get(monitor)
    if values is None:
        metrics = run.metrics["validation"]
        name = monitor.removeprefix("val_")
        if name not in metrics:
            raise SettingsError(
                f"monitor is {monitor!r}; this task measures: "
                f"{', '.join(f'val_{known}' for known in metrics)}."
            )
        values = [metrics[name]]
    sign = direction_of(monitor)
    finite = [
        (sign * value, -epoch)
        for epoch, value in enumerate(values, 1)
        if math.isfinite(value)
    ]
    if not finite:
        raise FloatingPointError(f"{monitor} is not a number")
    best, epoch = max(finite)
    return sign * best, -epoch


def direction_of(monitor: str) -> int:
    """1 where more is better, -1 where less is.

    Raises:
        SettingsError: that is not known of this name.
    """
    from kerasft.training.callbacks import BestCheckpoint

    return BestCheckpoint("", monitor).sign


def reason_of(error: Exception) -> str:
    """Why there is no score, in one short line."""
    text = " ".join(str(error).split())
    kind = type(error).__name__
    if isinstance(error, MemoryError) or EXHAUSTED.search(f"{kind} {text}"):
        what = ALLOCATED.search(text)  # Rather than where in the graph it was.
        text = f"out of memory: {what[0] if what else text}"
    elif isinstance(error, FloatingPointError):
        text = f"not a number: {text}"
    elif not isinstance(error, KerasftError):
        text = f"{kind}: {text}"
    return text if len(text) <= LONGEST_REASON else text[: LONGEST_REASON - 1] + "…"


def reason_of_exit(code: int, log: Path) -> str:
    """Why a process ended without a result."""
    lines = log.read_text("utf-8", "replace").split("\n") if log.exists() else []
    last = next((line.strip() for line in reversed(lines) if line.strip()), "")
    if code >= 0:
        return f"ended with code {code}: {last[:LONGEST_REASON]}"
    name = signal.Signals(-code).name
    if -code == signal.SIGKILL:
        return f"killed ({name}), as a machine that is out of memory does it"
    memory = any("bad_alloc" in line or "OOM" in line for line in lines[-50:])
    about = "out of memory" if memory else last[:LONGEST_REASON]
    return f"crashed ({name}): {about}"


def die_with_parent():
    """Let Linux end this process when the one that started it ends, however it does."""
    try:
        ctypes.CDLL(None).prctl(DIE_WITH_PARENT, signal.SIGKILL)
    except (AttributeError, OSError):  # Another system: its trials go on to their end.
        return
    if os.getppid() == 1:  # It has ended already.
        sys.exit(1)


if __name__ == "__main__":
    die_with_parent()
    main(sys.argv[1])
