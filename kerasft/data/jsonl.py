"""Parse one line of JSON strictly: one object, as RFC 8259 has it.

Python's json takes NaN, Infinity, 1e999 and repeated keys, and fails in four different
ways on deep nesting and long integers; here each is a `BadValue` of that line.
"""

import json
import math

from kerasft.data.faults import BadValue, did_you_mean, shown

MAX_DIGITS = 4300  # Python's own default limit, held whatever the interpreter is set to


def parse_object(line: str) -> dict:
    """The object in `line`.

    Raises:
        BadValue: the line is anything else.
    """
    value = _parse(line)
    if not isinstance(value, dict):
        raise BadValue(f"a JSON {_NAMES[type(value)]}", 'an object, {"column": value}')
    return value


def parse_array(text: str) -> list:
    """The list in `text`.

    Raises:
        BadValue: the text is anything else.
    """
    value = _parse(text)
    if not isinstance(value, list):
        raise BadValue(
            f"a JSON {_NAMES[type(value)]}",
            "a list of objects",
            "If there is an object a line, name the file .jsonl.",
        )
    return value


def _parse(text):
    try:
        return _DECODER.decode(text)
    except json.JSONDecodeError as error:
        raise _syntax(text, error) from error
    except RecursionError as error:
        raise BadValue("JSON nested too deeply", "an object of plain values") from error


def pick(row: dict, names: tuple[str, ...]) -> list:
    """The values of the named columns.

    Raises:
        BadValue: `row` is no dict, or lacks one.
    """
    try:
        return [row[name] for name in names]
    except (KeyError, TypeError) as error:
        if not isinstance(row, dict):
            expected = "a dict with a value for each column"
            raise BadValue(shown(row), expected) from error
        raise _missing(row, names) from error


def _missing(row, names):
    keys = ", ".join(map(shown, list(row)[:20])) or "none"
    missing = [name for name in names if name not in row]
    meant = "".join(did_you_mean(name, list(map(str, row))) for name in missing)
    return BadValue(f"the keys {keys}", f"a key {missing[0]!r}", meant.strip())


def _syntax(line, error):
    column = error.pos + 1
    before = line[: error.pos].rstrip()
    if error.msg.startswith("Extra data"):
        return BadValue("more after the object", "one object a line", "", column)
    if line[error.pos :].lstrip()[:1] in ("}", "]") and before.endswith(","):
        return BadValue("a trailing comma", "none", "Remove it.", column)
    if error.msg.startswith("Illegal trailing comma"):
        return BadValue("a trailing comma", "none", "Remove it.", column)
    if error.pos >= len(line.rstrip()) or error.msg.startswith("Unterminated string"):
        return BadValue("a line that is cut off", "a whole object", "", column)
    return BadValue(f"no JSON here ({error.msg})", "a whole object", "", column)


def _unique(pairs):
    row = dict(pairs)
    if len(row) < len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise BadValue(f"the key {shown(twice)} twice", "each key once")
    return row


def _constant(name):
    raise BadValue(name, "a finite number or null", "JSON has no such value.")


def _float(digits):
    number = float(digits)
    if math.isinf(number):
        raise BadValue(f"the number {shown(digits)}", "one that fits a 64-bit float")
    return number


def _int(digits):
    if len(digits) > MAX_DIGITS:
        raise BadValue(
            f"an integer of {len(digits):,} digits", f"at most {MAX_DIGITS:,}"
        )
    return int(digits)


_NAMES = {list: "array", dict: "object", str: "string", int: "number", float: "number"}
_NAMES |= {bool: "true or false", type(None): "null"}
_DECODER = json.JSONDecoder(
    object_pairs_hook=_unique,
    parse_constant=_constant,
    parse_float=_float,
    parse_int=_int,
)
