"""Values of Python as JSON and arrays, and back, so that nothing runs when read.

Kept: None, bool, int, float (NaN and infinity, too), str, lists, tuples, dicts with
such keys, and numpy arrays, which are put aside. Everything else raises `NotPlain`.
"""

import math

import numpy as np

KINDS = ("float", "tuple", "pairs", "array")


class NotPlain(TypeError):  # noqa: N818 - an answer, not a failure
    """A value that is no plain data."""


def packed(value, arrays: list):
    """A value as JSON.

    Args:
        value: plain data.
        arrays: numpy arrays found are appended; the JSON holds their numbers.

    Raises:
        NotPlain: it holds something else.
    """
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else {"float": repr(value)}
    if isinstance(value, list):
        return [packed(one, arrays) for one in value]
    if isinstance(value, tuple):
        return {"tuple": [packed(one, arrays) for one in value]}
    if isinstance(value, dict):
        pairs = value.items()
        return {"pairs": [[packed(k, arrays), packed(v, arrays)] for k, v in pairs]}
    if isinstance(value, np.ndarray) and value.dtype != object:
        arrays.append(np.array(value))
        return {"array": len(arrays) - 1}
    raise NotPlain(type(value).__name__)


def unpacked(content, arrays):
    """The value that `packed` made the JSON of."""
    if isinstance(content, list):
        return [unpacked(one, arrays) for one in content]
    if not isinstance(content, dict):
        return content
    ((kind, inner),) = content.items()
    if kind == "float":
        return float(inner)
    if kind == "tuple":
        return tuple(unpacked(one, arrays) for one in inner)
    if kind == "pairs":
        return {unpacked(k, arrays): unpacked(v, arrays) for k, v in inner}
    return arrays[inner]


def plain_parts(owner) -> dict:
    """Attributes of an object that are plain data, by name."""
    found = {}
    for name, value in vars(owner).items():
        try:
            packed(value, [])
        except NotPlain:
            continue
        found[name] = value
    return found
