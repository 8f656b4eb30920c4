"""Tensors of a checkpoint, read one at a time and written in shards.

In and out: numpy arrays by name, safetensors files. Half-precision floats come out as
float32. A folder that holds only pickles or HDF5 is refused: such files can run code
when they are opened.

Source: https://github.com/huggingface/safetensors (format), `transformers` (shards).
"""

import math
import os
from pathlib import Path

import numpy as np

from kerasft._errors import CheckpointError
from kerasft.checkpoints.folders import member
from kerasft.checkpoints.json_files import (
    ONE_MEBIBYTE,
    parse_json,
    read_json,
    write_json,
)

FLOATS = ("F64", "F32", "F16", "BF16")
FOREIGN_SUFFIXES = (".bin", ".pt", ".pth", ".pkl", ".h5", ".keras", ".msgpack", ".ckpt")
FOREIGN_STARTS = {
    b"PK\x03\x04": "a zip archive (PyTorch or Keras)",
    b"\x89HDF": "an HDF5 file",
    b"\x80\x02": "a pickle",
    b"\x80\x03": "a pickle",
    b"\x80\x04": "a pickle",
    b"\x80\x05": "a pickle",
}
CONVERSION = """\
Convert it once, where you trust the file:
    from transformers import AutoModel
    AutoModel.from_pretrained({folder!r}).save_pretrained("converted")
or, to keep a head, the class that config.json names under "architectures"."""


class TensorReader:
    """The tensors of a checkpoint folder, in one file or in shards.

    Opening reads the headers alone.

    Args:
        folder: holds `model.safetensors`, or shards and their index.
        stem: "model", or "adapter_model" for an adapter's folder.

    Raises:
        CheckpointError: no such files, not safetensors, or damaged.
    """

    def __init__(self, folder, stem="model"):
        self.folder = Path(folder)
        single = member(self.folder, f"{stem}.safetensors")
        index = member(self.folder, f"{stem}.safetensors.index.json")
        if single.exists():
            self._tensors = _read_header(single)
        elif index.exists():
            self._tensors = _read_shard_headers(self.folder, index)
        else:
            raise CheckpointError(_nothing_to_read(self.folder, stem))

    def keys(self):
        """Names of all tensors."""
        return self._tensors.keys()

    def __contains__(self, key):
        return key in self._tensors

    def shape(self, key):
        """Shape of tensor `key`, from the header."""
        return self._tensors[key][1]

    def read(self, key):
        """Tensor `key` as a float32 numpy array, whatever float it is stored as.

        Raises:
            CheckpointError: NaN or infinity in it, or stored as something quantised.
        """
        path, _, dtype = self._tensors[key]
        if dtype not in FLOATS:
            raise CheckpointError(
                f"{path}: {key} is stored as {dtype}, expected one of "
                f"{', '.join(FLOATS)}. Use the checkpoint's unquantised version."
            )
        tensor = self.stored(key).astype(np.float32, copy=False)
        if not np.isfinite(tensor).all():
            raise CheckpointError(
                f"{path}: {key} holds NaN or infinity. The run that saved it had "
                "diverged, or the file is damaged."
            )
        return tensor

    def stored(self, key):
        """Tensor `key` as a numpy array of the type it is stored in.

        Raises:
            CheckpointError: it cannot be read.
        """
        from safetensors import SafetensorError, safe_open

        path = self._tensors[key][0]
        try:
            with safe_open(path, "numpy") as file:
                return file.get_tensor(key)
        except (SafetensorError, OSError) as error:
            raise CheckpointError(f"{path}: {key} cannot be read ({error}).") from error


def _read_header(path):
    """Give {key: (path, shape, dtype)} of one safetensors file, and check the file."""
    from safetensors import SafetensorError, safe_open

    try:
        with path.open("rb") as file:
            start = file.read(8)
            length = int.from_bytes(start, "little")
            header = file.read(length) if length <= 16 * ONE_MEBIBYTE else b""
        with safe_open(path, "numpy"):
            pass  # Checks offsets, sizes and the file's end.
    except (SafetensorError, OSError) as error:
        found = FOREIGN_STARTS.get(start[:4]) or FOREIGN_STARTS.get(start[:2])
        if found:
            advice = f"it is {found}. " + CONVERSION.format(folder=str(path.parent))
        else:
            advice = f"damaged ({error}). Download or save it again."
        raise CheckpointError(f"{path}: not a safetensors file: {advice}") from error
    if not header:
        raise CheckpointError(f"{path}: its header is larger than 16 MiB.")
    entries = parse_json(header, f"{path} (header)")
    entries.pop("__metadata__", None)
    return {
        key: (path, tuple(entry["shape"]), entry["dtype"])
        for key, entry in entries.items()
    }


def _read_shard_headers(folder, index):
    """Give {key: (path, shape, dtype)} of all shards that `index` lists."""
    content = read_json(index)
    shard_of = content.get("weight_map") if isinstance(content, dict) else None
    if not isinstance(shard_of, dict) or not shard_of:
        raise CheckpointError(f"{index}: has no weight_map. Download it again.")
    names = {str(name) for name in shard_of.values()}
    paths = {name: member(folder, name) for name in sorted(names)}
    absent = [name for name, path in paths.items() if not path.exists()]
    if absent:
        raise CheckpointError(
            f"{index}: lists {', '.join(absent[:5])}, not in the folder "
            f"({len(absent)} of {len(paths)} shards). Download them."
        )
    headers = {name: _read_header(path) for name, path in paths.items()}
    lost = [key for key, name in shard_of.items() if key not in headers[str(name)]]
    if lost:
        raise CheckpointError(
            f"{index}: {len(lost)} tensors are not in the shard it names, "
            f"first {lost[0]} in {shard_of[lost[0]]}. Download the folder again."
        )
    return {key: headers[str(name)][key] for key, name in shard_of.items()}


def _nothing_to_read(folder, stem):
    names = sorted(os.listdir(folder)) if folder.is_dir() else []
    foreign = [name for name in names if name.endswith(FOREIGN_SUFFIXES)]
    if not foreign:
        return (
            f"{folder}: no {stem}.safetensors (and no index of shards) in it. If the "
            "hub has only a pickle of this model, it must be converted first. "
            + CONVERSION.format(folder=str(folder))
        )
    return (
        f"{folder}: holds {', '.join(foreign)} but no {stem}.safetensors. Such files "
        "can run code when opened, so kerasft never does. "
        + CONVERSION.format(folder=str(folder))
    )


def write_tensors(folder, tensors, max_shard_bytes=5_000_000_000, stem="model"):
    """Write named arrays as `transformers` does: one file, or shards and an index.

    Args:
        folder: an existing folder.
        tensors: iterable of (name, numpy array); taken one shard at a time.
        max_shard_bytes: a shard is closed before it would grow past this.
        stem: of the file names.
    """
    folder = Path(folder)
    parts, shard, size = [], {}, 0
    for name, array in tensors:
        # Transposed views would be written in the wrong order. (Numpy makes one axis of
        # none, hence the shape.)
        array = np.ascontiguousarray(array).reshape(array.shape)
        if shard and size + array.nbytes > max_shard_bytes:
            parts.append(_write_part(folder, len(parts), shard))
            shard, size = {}, 0
        shard[name] = array
        size += array.nbytes
    parts.append(_write_part(folder, len(parts), shard))
    if len(parts) == 1:
        parts[0][0].rename(folder / f"{stem}.safetensors")
    else:
        _name_shards(folder, parts, stem)


def _write_part(folder, number, shard):
    """Write one file; give its path and {name: shape} with its bytes."""
    from safetensors.numpy import save_file

    path = folder / f"part-{number}.safetensors"
    path.touch()
    mode = path.stat().st_mode
    save_file(shard, path, metadata={"format": "pt"})
    path.chmod(mode)  # safetensors writes for the owner alone.
    sizes = {
        name: (math.prod(array.shape), array.nbytes) for name, array in shard.items()
    }
    return path, sizes


def _name_shards(folder, parts, stem):
    shard_of, parameters, size = {}, 0, 0
    for number, (path, sizes) in enumerate(parts, start=1):
        name = f"{stem}-{number:05d}-of-{len(parts):05d}.safetensors"
        path.rename(folder / name)
        for key, (count, nbytes) in sizes.items():
            shard_of[key] = name
            parameters += count
            size += nbytes
    index = {
        "metadata": {"total_parameters": parameters, "total_size": size},
        "weight_map": shard_of,
    }
    write_json(folder / f"{stem}.safetensors.index.json", index)
