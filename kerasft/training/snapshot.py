"""Snapshots of a run: each is there whole or not at all, and is read only if intact.

    step-000000123/   model*.safetensors  state.json  manifest.json (SHA-256 of each)

A snapshot is written beside its place under another name, brought to the disk (fsync),
and renamed. So a crash at any moment leaves the earlier ones as they were. The trap:
only what is known as ours by its name *and* its manifest is ever deleted.
"""

import hashlib
import os
import re
import secrets
import shutil
import warnings
from dataclasses import dataclass
from pathlib import Path

from kerasft._errors import CheckpointError
from kerasft.checkpoints.folders import put_in_place, sync_tree
from kerasft.checkpoints.json_files import read_json, write_json
from kerasft.checkpoints.tensors import TensorReader, write_tensors

FORMAT = 1
STATE, MANIFEST = "state.json", "manifest.json"
NAME = re.compile(r"step-(\d{9})")
UNFINISHED = re.compile(r"\.saving-[0-9a-f]{8}")
SHARD_BYTES = 2**28  # What is held in memory twice while it is written.


@dataclass(frozen=True)
class Snapshot:
    """One that was found whole.

    Args:
        path: its folder.
        step: optimizer steps when it was taken.
        state: all that is no array.
    """

    path: Path
    step: int
    state: dict

    def arrays(self):
        """Yield (name, array) of all arrays, as they were written."""
        reader = TensorReader(self.path)
        for name in reader.keys():
            yield name, reader.stored(name)


def write(folder: Path, step: int, arrays, state: dict) -> Path:
    """Write a snapshot; one of the same step is replaced.

    Args:
        folder: of all snapshots; made if missing.
        step: optimizer steps done.
        arrays: list of (name, numpy array).
        state: JSON.

    Raises:
        OSError: the disk is full or cannot be written; what was there is still there.
    """
    folder.mkdir(parents=True, exist_ok=True)
    _raise_without_space(folder, sum(array.nbytes for _, array in arrays))
    new = folder / f".saving-{secrets.token_hex(4)}"
    new.mkdir()
    try:
        write_tensors(new, arrays, SHARD_BYTES)
        write_json(new / STATE, state)
        files = {path.name: _described(path) for path in sorted(new.iterdir())}
        manifest = {"format": FORMAT, "step": step, "files": files}
        write_json(new / MANIFEST, manifest)
        sync_tree(new)
        target = folder / f"step-{step:09d}"
        put_in_place(new, target)
    except BaseException:
        shutil.rmtree(new, ignore_errors=True)
        raise
    return target


def newest(folder: Path) -> tuple[Snapshot | None, list[str]]:
    """The newest snapshot that is intact, and what is wrong with any newer ones."""
    problems = []
    for path in reversed(all_in(folder)):
        try:
            return _read(path), problems
        except (CheckpointError, OSError) as error:
            problems.append(str(error))
    return None, problems


def to_go_on_from(folder: Path) -> Snapshot | None:
    """The newest snapshot that is intact, with a warning for each newer one.

    Returns:
        None where there has been none.

    Raises:
        CheckpointError: there are some, and none is intact.
    """
    found, problems = newest(folder)
    if problems and found is None:
        told = "\n  ".join(problems)
        raise CheckpointError(
            f"{folder}: no snapshot of this fit is intact:\n  {told}\nNothing was "
            "changed. Put one back, or delete the folder to begin anew."
        )
    for problem in problems:
        warnings.warn(f"{problem} An earlier snapshot is used.", stacklevel=2)
    return found


def all_in(folder: Path) -> list[Path]:
    """Folders with a snapshot's name, oldest first."""
    if not folder.is_dir():
        return []
    return sorted(
        path
        for path in folder.iterdir()
        if NAME.fullmatch(path.name) and path.is_dir() and not path.is_symlink()
    )


def thin_out(folder: Path, keep: int):
    """Delete all but the newest `keep` snapshots, and what crashed saves have left."""
    known = [path for path in all_in(folder) if (path / MANIFEST).is_file()]
    for path in known[:-keep]:
        _remove(path)
    for path in folder.iterdir() if folder.is_dir() else ():
        if UNFINISHED.fullmatch(path.name) and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)


def _remove(path):
    """Delete a snapshot; it is none any more from the first moment on."""
    gone = path.with_name(f".saving-{secrets.token_hex(4)}")
    os.rename(path, gone)
    shutil.rmtree(gone, ignore_errors=True)


def _raise_without_space(folder, needed):
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise OSError(
            f"{folder}: a snapshot takes {needed:,} bytes, and {free:,} are free"
        )


def _described(path):
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return {"bytes": path.stat().st_size, "sha256": digest}


def _read(path):
    """The snapshot in a folder.

    Raises:
        CheckpointError: a file is missing, damaged, or not told of.
    """
    manifest = read_json(path / MANIFEST)
    files = manifest.get("files") if isinstance(manifest, dict) else None
    if not isinstance(files, dict) or manifest.get("format") != FORMAT:
        raise CheckpointError(f"{path / MANIFEST}: is no manifest of a snapshot.")
    there = sorted(file.name for file in path.iterdir() if file.name != MANIFEST)
    if there != sorted(files):
        raise CheckpointError(f"{path}: holds {there}, its manifest {sorted(files)}.")
    for name, told in files.items():
        if _described(path / name) != told:
            raise CheckpointError(f"{path / name}: is not what was written: damaged.")
    if NAME.fullmatch(path.name)[1] != f"{manifest.get('step'):09d}":
        raise CheckpointError(f"{path}: its manifest is of step {manifest['step']}.")
    return Snapshot(path, manifest["step"], read_json(path / STATE))
