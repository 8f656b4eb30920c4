"""The folder of one run: what lies in it, and when it may be written to.

    config.json  model.safetensors  tokenizer*   the checkpoint, as Hugging Face has it
    recipe.yaml     the settings, for `kerasft finetune --config`; written at the start
    history.json    loss and metrics of each epoch
    report.txt      the evaluation, for people
    figures/        the same as pictures
    README.md       the model card
    resume/         snapshots to go on from; gone when the run is finished
    metrics.json    the evaluation, for programs; written last: the run is finished

The trap: nothing of a folder that is no run of ours may be overwritten, and that must
be known before hours of training.
"""

import json
import math
import os
import tempfile
from contextlib import contextmanager
from pathlib import Path

from kerasft._errors import SettingsError
from kerasft.checkpoints.folders import CHECKPOINT_FILES

RECIPE, METRICS, REPORT = "recipe.yaml", "metrics.json", "report.txt"
HISTORY, CARD, FIGURES = "history.json", "README.md", "figures"
OWN_FILES = (*CHECKPOINT_FILES, METRICS, REPORT, HISTORY, CARD, FIGURES)


def claim(out: str) -> Path:
    """The folder of a new run; nothing is made yet.

    Raises:
        SettingsError: it cannot be written, holds a finished run, or something else
            that a run would overwrite.
    """
    folder = folder_of(out)
    if not folder.exists():
        return folder
    if (folder / METRICS).exists() and (folder / RECIPE).exists():
        raise SettingsError(
            f"out is {out}, which holds a finished run. Choose another folder, or "
            "remove this one first."
        )
    if Path.cwd().is_relative_to(folder.resolve()):
        raise SettingsError(
            f"out is {out}, which holds the current working directory. Choose a folder "
            "below it."
        )
    taken = [p.name for pattern in OWN_FILES for p in folder.glob(pattern)]
    if taken and not (folder / RECIPE).exists():
        raise SettingsError(
            f"out is {out}, which holds {', '.join(sorted(taken)[:5])} but no "
            f"{RECIPE}, so it is no run of kerasft. Choose another folder."
        )
    return folder


def unused(out: str, own, why: str) -> Path:
    """A folder that what is made can be put into; nothing is made yet.

    Args:
        out: the folder, as it was given.
        own: names, or patterns of them, of files that may not be there.
        why: what would be wrong with them there.

    Raises:
        SettingsError: it cannot be written, is a file, or holds such files.
    """
    folder = folder_of(out)
    taken = sorted({path.name for name in own for path in folder.glob(name)})
    if taken:
        raise SettingsError(
            f"out is {out}, which holds {', '.join(taken[:5])}. {why}: choose a new "
            "folder."
        )
    return folder


def folder_of(out: str) -> Path:
    """The folder that `out` names, which may not be there yet.

    Raises:
        SettingsError: it cannot be written, or is a file.
    """
    folder = Path(out).expanduser()
    raise_unless_writable(folder)
    if folder.exists() and not folder.is_dir():
        raise SettingsError(f"out is {out}, which is a file. Name a folder.")
    return folder


@contextmanager
def place_of(folder: Path, chief: bool):
    """Where a process of a run writes: its folder, or one for what nobody will read.

    Of several workers all do the same, for what they compute they compute together.
    """
    if chief:
        yield folder
    else:
        with tempfile.TemporaryDirectory() as place:
            yield Path(place)


def begin(folder: Path, recipe: str):
    """Make the folder of a claimed run and mark it as one."""
    folder.mkdir(parents=True, exist_ok=True)
    write_text(folder / RECIPE, recipe)


def logs_of(tensorboard: str | None, folder: Path) -> str:
    """The folder of a run's TensorBoard logs."""
    return tensorboard or f"tb_logs/{folder.resolve().name}"


def raise_unless_writable(path: Path):
    """Try to write beside `path`, or in it if it is a folder.

    Raises:
        SettingsError: that fails; says where and why.
    """
    place = path if path.is_dir() else path.parent
    while not place.exists():
        place = place.parent
    try:
        with tempfile.TemporaryFile(dir=place):
            pass
    except OSError as error:
        raise SettingsError(
            f"{path} cannot be written: {place}: {error.strerror}. Choose another "
            "place, or change its permissions."
        ) from error


def write_text(path: Path, text: str):
    """Write a file whole or not at all."""
    new = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with new.open("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.replace(new, path)
    finally:
        new.unlink(missing_ok=True)


def write_json(path: Path, content):
    """Write JSON whole or not at all, in the order given; NaN becomes null."""
    text = json.dumps(_finite(content), indent=2, ensure_ascii=False, allow_nan=False)
    write_text(path, text + "\n")


def _finite(content):
    if isinstance(content, dict):
        return {str(key): _finite(value) for key, value in content.items()}
    if isinstance(content, list | tuple):
        return [_finite(value) for value in content]
    if isinstance(content, float) and not math.isfinite(content):
        return None
    return content
