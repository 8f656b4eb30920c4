"""Read label values, and order label names.

A label is one name ("name"), several names ("names"), or one number or a fixed count of
numbers ("number"). Nothing is changed silently: a blank label is a bad row, and names
that differ only by case, outer white space or a ".0" are an error.
"""

import math
import re
from collections import defaultdict
from collections.abc import Callable, Sequence

import numpy as np
import pyarrow as pa

from kerasft._errors import DataError, SettingsError
from kerasft.data.faults import BadValue, shown

LABEL_TYPES = ("name", "names", "number")
_SPARE = "Give every row a label, or leave the row out."
_KINDS = {str: "text", bool: "true or false", int: "whole number", float: "number"}
_INFERRED = {
    "text": "name",
    "whole number": "name",
    "true or false": "name",
    "number": "number",
    "list of text": "names",
    "list of whole number": "names",
    "list of number": "number",
    "list of number and whole number": "number",
}


class LabelReader:
    """Turn the label values of one source into names or numbers.

    Args:
        label_type: "name", "names", "number", or None to go by the values.
        separator: splits one string into several names.
        columns: the names of several label columns; then a value is a tuple of cells.
        from_text: numbers are written as text, as in CSV.
    """

    def __init__(self, label_type, separator=None, columns=None, from_text=False):
        if label_type not in (*LABEL_TYPES, None):
            raise SettingsError(
                f"label_type={label_type!r}: expected one of {', '.join(LABEL_TYPES)}."
            )
        if columns and label_type not in ("names", "number"):
            raise SettingsError(
                f"Several label columns ({', '.join(columns)}) are 'names' (cells 0 or "
                "1) or 'number': pass label_type, one of these."
            )
        if separator is not None and (
            not separator or label_type not in (None, "names")
        ):
            raise SettingsError(
                f"label_separator={separator!r} splits text into label_type 'names', "
                f"not {label_type!r}."
            )
        if separator or (from_text and label_type is None):
            label_type = "names" if separator else "name"
        self.label_type = label_type
        self.width = None  # of "number": None until seen, 0 for a scalar
        self._separator, self._columns, self._from_text = separator, columns, from_text
        # Numbers asked for: another kind is a bad row, and 1 beside 1.5 is none.
        self._by_kind = not (columns or from_text or label_type == "number")
        self._kinds = {}

    def read(
        self, values: Sequence, bad: dict[int, BadValue], where: Callable[[int], str]
    ) -> list:
        """The labels of one block of rows; a bad one is None and noted in `bad`."""
        if not self._from_text:
            values = [_plain(value) for value in values]
        if self._by_kind:
            self._note_kinds(values, where)
        parse = {"name": self._name, "names": self._names, "number": self._numbers}
        parse = parse.get(self.label_type, self._missing)
        labels = [None] * len(values)
        for index, value in enumerate(values):
            try:
                labels[index] = parse(value)
            except BadValue as error:
                bad.setdefault(index, error)
        return labels

    def raise_if_mixed(self):
        """Refuse values of several kinds: 1 and "1" would become one class.

        Raises:
            DataError: lists the kinds.
        """
        if len(self._kinds) > 1:
            kinds = "; ".join(
                f"{kind}: {count:,}, first {value} at {where}"
                for kind, (count, value, where) in self._kinds.items()
            )
            raise DataError(
                f"Labels of several kinds ({kinds}). Expected one kind: mend the rows, "
                "or pass label_type='number' if all are numbers."
            )

    def arrow_type(self) -> pa.DataType:
        """How the labels are stored."""
        scalar = pa.float64() if self.label_type == "number" else pa.large_string()
        many = self.label_type == "names" or self.width
        return pa.large_list(scalar) if many else scalar

    def _note_kinds(self, values, where):
        for index, value in enumerate(values):
            kind = _kind(value)
            if kind in (None, "list of nothing"):
                continue
            self.label_type = self.label_type or _INFERRED.get(kind, "name")
            if kind not in self._kinds:
                self._kinds[kind] = [0, shown(value), where(index)]
            self._kinds[kind][0] += 1

    def _missing(self, value):
        if isinstance(value, BadValue):  # the source has found the fault already
            raise value
        raise BadValue("no label", "one", _SPARE)

    def _name(self, value):
        if not isinstance(value, str | int):
            if _kind(value) is None:
                return self._missing(value)
            fix = "A class is text or a whole number; pass label_type for other labels."
            raise BadValue(f"the label {shown(value)}", "one name", fix)
        return text_of(str(value), "label", blank=False)

    def _names(self, value):
        if self._columns:
            return self._flags(value)
        if isinstance(value, str) and self._separator:
            value = value.split(self._separator) if value else []
        if _kind(value) is None:
            return self._missing(value)
        if not isinstance(value, list | tuple):
            raise BadValue(f"the label {shown(value)}", "a list of names")
        names = [self._name(name) for name in value]
        if len(set(names)) < len(names):
            raise BadValue(f"{shown(names)}", "each name once", "Remove the repeat.")
        return names

    def _flags(self, cells):
        flags = {"0": 0, "1": 1} if self._from_text else {0: 0, 1: 1}
        for name, cell in zip(self._columns, cells, strict=True):
            if not isinstance(cell, str | int | float) or cell not in flags:
                raise BadValue(f"{shown(cell)} in column {name!r}", "0 or 1")
        return [n for n, c in zip(self._columns, cells, strict=True) if flags[c]]

    def _numbers(self, value):
        if value is None or value == []:
            return self._missing(value)
        if isinstance(value, list | tuple):
            numbers, width = [self._number(cell) for cell in value], len(value)
        else:
            numbers, width = self._number(value), 0
        if self.width is None:
            self.width = width
        if width != self.width:
            raise BadValue(
                f"{width} numbers" if width else "a single number",
                f"{self.width or 'a single number'} as in the first row",
                "Give every row the same count.",
            )
        return numbers

    def _number(self, cell):
        if self._from_text and isinstance(cell, str):
            if not cell.strip():
                return self._missing(cell)
            if not re.fullmatch(r"\s*[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?\s*", cell):
                fix = "Write decimals with a point." if "," in cell else ""
                raise BadValue(f"the label {shown(cell)}", "a finite number", fix)
            cell = float(cell)
        if type(cell) not in (int, float):
            raise BadValue(f"the label {shown(cell)}", "a number")
        try:
            number = float(cell)
        except OverflowError:
            number = math.inf
        if not math.isfinite(number):
            raise BadValue(f"the label {shown(cell)}", "a finite number")
        return number


def _plain(value):
    """NumPy scalars, arrays and inner tuples as Python values."""
    if isinstance(value, np.generic | np.ndarray):
        return value.tolist()
    if isinstance(value, list | tuple):
        return type(value)(map(_plain, value))
    return value


def _kind(value):
    """What a label is, for messages and for going by the values; None if missing."""
    if value is None or value != value:  # NaN is how pandas writes a missing label
        return None
    if isinstance(value, BadValue):
        return None
    if isinstance(value, list | tuple):
        kinds = sorted({kind for cell in value if (kind := _kind(cell))}) or ["nothing"]
        return f"list of {' and '.join(kinds)}"
    return _KINDS.get(type(value), type(value).__name__)


def text_of(value, column: str, blank: bool = True) -> str:
    """`value`, if it is text that UTF-8 can hold (and not blank, unless allowed).

    Raises:
        BadValue: it is not.
    """
    if not isinstance(value, str):
        found = "nothing" if value is None or value != value else shown(value)
        raise BadValue(f"{found} in column {column!r}", "text")
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise BadValue(
            f"half a surrogate pair, {shown(value[error.start])}, in column {column!r}",
            "Unicode text",
            "Write the source again as UTF-8.",
        ) from error
    if not blank and not value.strip():
        raise BadValue(f"the blank label {shown(value)}", "a name", _SPARE)
    return value


def ordered(names: Sequence[str]) -> tuple[str, ...]:
    """Label names in an order that does not depend on the rows.

    Numeric if every name is a whole number, else by code point.
    """
    if all(re.fullmatch(r"[-+]?\d+", name, re.ASCII) for name in names):
        return tuple(sorted(names, key=lambda name: (int(name), name)))
    return tuple(sorted(names))


def raise_if_variants(counts: dict[str, int], first: Callable[[str], str]):
    """Refuse names that are one class to a reader and several to a program.

    Args:
        counts: rows per name.
        first: says where a name stands first.

    Raises:
        DataError: lists the variants.
    """
    groups = defaultdict(list)
    for name in counts:
        whole = re.sub(r"^([-+]?\d+)\.0*$", r"\1", name.strip().casefold())
        groups[whole].append(name)
    variants = [group for group in groups.values() if len(group) > 1]
    if variants:
        lines = [
            "  "
            + ", ".join(f"{n!r} ({counts[n]:,} rows, first {first(n)})" for n in group)
            for group in variants
        ]
        raise DataError(
            "Label names that differ only by case, outer white space or '.0':\n"
            + "\n".join(lines)
            + "\nExpected one spelling for each class: mend the rows."
        )
