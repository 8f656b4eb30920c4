"""Where kerasft keeps what it can make again: large corpora, encoded examples.

`KERASFT_CACHE` names the folder; without it, it is `~/.cache/kerasft`. Everything in
it may be deleted while no program is running.
"""

import hashlib
import os
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np

from kerasft.checkpoints.folders import atomic_folder
from kerasft.checkpoints.json_files import write_json
from kerasft.data.mapped import MappedFile


def cache_folder() -> Path:
    """The cache folder, made if it is not there.

    Raises:
        OSError: it cannot be made.
    """
    folder = Path(os.environ.get("KERASFT_CACHE") or Path.home() / ".cache" / "kerasft")
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def kept_arrays(
    chunks: Iterable[Mapping], types: Mapping[str, str], kind: str, told: str | None
) -> tuple[dict[str, np.ndarray], dict[str, MappedFile]]:
    """Long arrays, put together of chunks: in memory, or once and for all on disk.

    Args:
        chunks: dicts of the next part of each array; not read where the cache has
            them.
        types: name of each array -> its dtype.
        kind: of the arrays: "examples".
        told: all that they depend on; None: they stay in memory.

    Returns:
        Name -> array, and name -> the file that it lies in.
    """
    if told is None:
        parts = list(chunks)
        joined = {
            name: np.concatenate([np.asarray(part[name], dtype) for part in parts])
            for name, dtype in types.items()
        }
        return joined, {}
    key = hashlib.sha256(told.encode()).hexdigest()[:32]
    folder, mark = cache_folder() / f"{kind}-{key}", f"{kind}.json"
    if not (folder / mark).is_file():
        with atomic_folder(folder, mark=mark, own_files=("*",)) as new:
            _write(new, chunks, types)
            write_json(new / mark, dict(types))
    files = {name: MappedFile(folder / name) for name in types}
    arrays = {name: np.frombuffer(file, types[name]) for name, file in files.items()}
    return arrays, files


def _write(folder, chunks, types):
    files = {name: (folder / name).open("wb") for name in types}
    try:
        for chunk in chunks:
            for name, file in files.items():
                file.write(np.asarray(chunk[name], types[name]).tobytes())
    finally:
        for file in files.values():
            file.close()
