"""Split rows by seed, and find rows that stand in two parts.

The same rows, ratios and seed give the same parts on every machine: the order comes
from the raw bits of PCG64, which NumPy keeps stable, not from a method that may change.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from kerasft._errors import DataError, SettingsError
from kerasft.data.rows import Rows


def split(
    rows: Rows, ratios: Sequence[float], seed: int = 0, stratify: bool = False
) -> tuple[Rows, ...]:
    """Shuffle rows and cut them into parts that share no row and leave none out.

    Args:
        rows: any rows.
        ratios: the share of each part; they sum to 1.
        seed: the same seed gives the same parts.
        stratify: every class is cut by `ratios` on its own (largest remainders, at
            least one row of it in each part).

    Raises:
        SettingsError: ratios that do not sum to 1, or no single label to `stratify` by.
        DataError: too few rows, or too few of a class, for a row in each part.
    """
    shares = np.asarray(ratios, np.float64)
    if not (shares > 0).all() or not np.isclose(shares.sum(), 1, rtol=0, atol=1e-9):
        raise SettingsError(
            f"ratios={tuple(ratios)} sum to {shares.sum():g}: expected shares above 0 "
            "that sum to 1."
        )
    order = np.argsort(np.random.PCG64(seed).random_raw(len(rows)), kind="stable")
    if not stratify:
        _raise_if_few({"rows": len(rows)}, len(shares))
        part = np.repeat(np.arange(len(shares)), _sizes(len(rows), shares))
    else:
        part = _stratified(rows, order, shares)
    return tuple(rows.select(order[part == number]) for number in range(len(shares)))


def _stratified(rows, order, shares):
    """The part of each row, in the shuffled order."""
    if rows.label_type != "name":
        raise SettingsError(
            f"stratify=True needs one label name a row; these have {rows.label_type!r}."
        )
    counts = {f"rows of {n!r}": c for n, c in rows.label_counts.items() if c}
    _raise_if_few(counts, len(shares))
    classes = rows.label_array(rows.labels)[order]
    part = np.empty(len(rows), np.int64)
    for number in np.unique(classes):
        members = np.flatnonzero(classes == number)
        part[members] = np.repeat(np.arange(len(shares)), _sizes(len(members), shares))
    return part


def _sizes(count, shares):
    """Largest remainders; then the largest parts give a row to each empty one."""
    exact = np.round(count * shares, 9)  # 0.1 * 30 is 3.0000000000000004
    sizes = np.floor(exact).astype(np.int64)
    largest = np.argsort(sizes - exact, kind="stable")
    sizes[largest[: count - sizes.sum()]] += 1
    for empty in np.flatnonzero(sizes == 0):
        sizes[np.argmax(sizes)] -= 1
        sizes[empty] = 1
    return sizes


def _raise_if_few(counts, parts):
    few = {name: count for name, count in counts.items() if count < parts}
    if few:
        listed = ", ".join(f"{count:,} {name}" for name, count in few.items())
        raise DataError(
            f"Found {listed}, expected at least {parts} for {parts} parts. Add rows, "
            "leave the class out, or split without stratify."
        )


@dataclass(frozen=True)
class Duplicates:
    """Rows of one corpus whose texts stand in another too.

    `exact` of `rows` are the same text (and pair); `normalised` also counts those that
    differ only by case and white space. `examples` are (where there, where here, text).
    """

    rows: int
    exact: int
    normalised: int
    examples: tuple[tuple[str, str, str], ...]

    def __str__(self):
        lines = [
            f"{self.normalised:,} of {self.rows:,} rows are in the other corpus too, "
            f"{self.exact:,} of them to the letter."
        ]
        lines += [
            f"  {here} = {there}: {text[:80]!r}" for there, here, text in self.examples
        ]
        return "\n".join(lines)


def duplicates_between(there: Rows, here: Rows, examples: int = 5) -> Duplicates:
    """Count the rows of `here` (validation) whose text is in `there` (training) too.

    Texts are compared by 64-bit hashes: eight bytes a row, whatever the texts' length.
    """
    exact = np.isin(_hashes(here, _same), _hashes(there, _same))
    known = _hashes(there, _normal)
    hashes = _hashes(here, _normal)
    found = np.isin(hashes, known)
    shown = []
    for i in np.flatnonzero(found)[:examples]:
        j = int(np.flatnonzero(known == hashes[i])[0])
        shown.append((there.where(j), here.where(int(i)), here.texts(i, i + 1)[0]))
    return Duplicates(len(here), int(exact.sum()), int(found.sum()), tuple(shown))


def _same(text):
    return text


def _normal(text):
    return " ".join(text.split()).casefold()


def _hashes(rows, form, size=65_536):
    """One uint64 for each row's text, or text and pair."""
    digests = bytearray()
    for start in range(0, len(rows), size):
        keys = map(form, rows.texts(start, start + size))
        if rows.has_pairs:
            pairs = map(form, rows.text_pairs(start, start + size))
            keys = (f"{len(a)} {a}{b}" for a, b in zip(keys, pairs, strict=True))
        for key in keys:
            digests += hashlib.blake2b(key.encode(), digest_size=8).digest()
    return np.frombuffer(bytes(digests), np.uint64)
