"""Read and write the JSON files of a checkpoint folder.

In: a path. Out: plain Python data. The trap: the file may come from anyone, so its
size, its depth and its numbers are bounded before they are used.
"""

import json
from pathlib import Path

from kerasft._errors import CheckpointError

ONE_MEBIBYTE = 2**20


def parse_json(text, source):
    """Parse `text` strictly: no NaN, no infinity, no key twice.

    Args:
        text: str or bytes; bytes must be UTF-8.
        source: what the text came from, for the message.

    Raises:
        CheckpointError: anything else than one JSON value.
    """

    def no_constant(name):
        raise ValueError(f"{name} is not JSON")

    def no_duplicate(pairs):
        result = dict(pairs)
        if len(result) != len(pairs):
            keys = [key for key, _ in pairs]
            twice = sorted({key for key in keys if keys.count(key) > 1})
            raise ValueError(f"keys given twice: {', '.join(twice[:5])}")
        return result

    try:
        if isinstance(text, bytes):
            text = text.decode("utf-8")
        return json.loads(
            text, parse_constant=no_constant, object_pairs_hook=no_duplicate
        )
    except RecursionError:
        raise CheckpointError(
            f"{source}: nested too deeply to be a checkpoint's JSON."
        ) from None
    except ValueError as error:
        raise CheckpointError(
            f"{source}: not valid JSON ({error}). The file is damaged: "
            "download it again, or make it anew."
        ) from error


def read_json(path, limit=16 * ONE_MEBIBYTE):
    """Read a JSON file of at most `limit` bytes.

    Raises:
        CheckpointError: no such file, larger than `limit`, or not strict JSON.
    """
    try:
        with Path(path).open("rb") as file:
            content = file.read(limit + 1)
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be read ({error.strerror}).") from error
    if len(content) > limit:
        raise CheckpointError(
            f"{path}: larger than {limit:,} bytes, which no checkpoint's JSON is."
        )
    return parse_json(content, path)


def write_json(path, content):
    """Write `content` as the Hugging Face libraries do: sorted keys, two spaces."""
    text = json.dumps(content, indent=2, sort_keys=True, allow_nan=False)
    Path(path).write_text(text + "\n", encoding="utf-8")
