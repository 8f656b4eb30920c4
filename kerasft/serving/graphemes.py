"""Which characters belong together, as SentencePiece's normaliser in Rust sees it.

Its rules are those of extended grapheme clusters; its tables are asked for. The
normaliser takes clusters of fewer than six bytes as one: under a map that makes "y" of
every character each such cluster becomes one "y", and each character of any other
cluster becomes one. So the length of an answer tells where the clusters end.

Source: Unicode Standard Annex 29, rules GB3 to GB11; Precompiled of
huggingface/tokenizers 0.23; the double array of Darts-clone, in which its map is kept.
"""

import functools
import struct

import numpy as np
import tensorflow as tf
from tokenizers.normalizers import Precompiled

from kerasft.serving.characters import CODE_POINTS, SURROGATES

SMALL = 6  # Clusters of fewer bytes are looked up whole.
# A mark, a joiner, a sign; a letter and a linker of Devanagari; Hangul.
MARK, JOINER, SIGN, LETTER, LINKER = "\u0301", "\u200d", "\u00a9", "\u0915", "\u094d"
LEADING, VOWEL, TRAILING = "\u1100", "\u1161", "\u11a8"
LETTERS = 0x20000  # There are none behind it that are no ideographs.
NAMES = (
    "control", "joins", "prepends", "extends", "pictures", "begins", "ends", "links",
    "between", "leading", "vowel", "trailing", "takes_leading", "takes_vowel",
    "takes_trailing",
)  # fmt: skip
BIT = {name: 1 << place for place, name in enumerate(NAMES)}
ROOT, TWO, THREE, FOUR, LEAF = (256 * place for place in range(1, 6))


class Graphemes(tf.Module):
    """Find where clusters begin."""

    def __init__(self):
        super().__init__(name="graphemes")
        self._flags = tf.constant(properties(), tf.int32)

    def __call__(self, points):
        """Whether each character begins a cluster, flat bool.

        Args:
            points: code points, ragged int32 (texts, characters).
        """
        flat, count = points.flat_values, tf.size(points.flat_values, tf.int64)
        flags, place = tf.gather(self._flags, flat), tf.range(count)
        start = tf.gather(points.row_starts(), points.value_rowids())

        def here(name):
            return flags & BIT[name] > 0

        def before(values):
            return tf.roll(values, 1, 0)  # The first has none: it begins a text.

        def anchor(values):
            """The last place up to each where `values` holds; -1: not in its text."""
            places = tf.concat([[-1], tf.where(values)[:, 0]], 0)
            last = tf.gather(places, tf.cumsum(tf.cast(values, tf.int64)))
            return tf.where(last >= start, last, -1)

        def at(values, places):
            return tf.gather(values, tf.maximum(places, 0)) & (places >= 0)

        joined = here("joins") | before(here("prepends"))
        for name in ("leading", "vowel", "trailing"):
            joined |= here(name) & before(here(f"takes_{name}"))
        # A picture, extenders, a joiner, a picture.
        sign = before(before(anchor(~here("extends"))))
        glued = before((flat == ord(JOINER)) & (place > start))
        joined |= here("pictures") & glued & at(here("pictures"), sign)
        # A letter, a linker among others, a letter.
        letter = before(anchor(~here("between")))
        links = tf.cumsum(tf.cast(here("links"), tf.int64))
        linked = before(links) > tf.gather(links, tf.maximum(letter, 0))
        joined |= here("ends") & at(here("begins"), letter) & linked
        joined &= ~here("control") & before(~here("control"))
        joined |= (flat == 10) & before(flat == 13)
        return ~joined | (place == start)


@functools.cache
def properties() -> np.ndarray:
    """Of each code point what it does to its neighbours, as sums of `BIT`."""
    found = {name: np.zeros(CODE_POINTS, bool) for name in NAMES}
    points = [
        i for i in range(CODE_POINTS) if i not in SURROGATES and i not in (10, 13)
    ]
    every, letters = np.array(points), np.array([i for i in points if i < LETTERS])
    short = every < 0x10000
    found["joins"][every] = _counts("a", every) == 1
    alone = _counts("", every[short], MARK) == 2
    found["control"][every[short]] = alone
    found["control"][every[~short]] = _counts("", every[~short], 2 * MARK) == 2
    found["control"][[10, 13]] = True
    found["prepends"][letters] = _counts("", letters, "a") == 1
    joining = np.flatnonzero(found["joins"])
    others = letters[~found["joins"][letters]]
    for name, before, of, after, count in (
        ("pictures", SIGN + JOINER, others, "", 3),
        ("extends", SIGN, joining, JOINER + SIGN + MARK, 5),
        ("begins", "", others, LINKER + LETTER + MARK, 4),
        ("ends", LETTER + LINKER, others[others < 0x10000], MARK, 4),
        ("links", LETTER, joining, LETTER + MARK, 4),
        ("between", LETTER + LINKER, joining, LETTER + MARK, 5),
        ("takes_leading", "", others, LEADING + MARK, 3),
        ("takes_vowel", "", others, VOWEL + MARK, 3),
        ("takes_trailing", "", others, TRAILING + MARK, 3),
    ):
        found[name][of] = _counts(before, of, after) == count
    found |= _syllables(others[others < 0x10000])
    return sum(found[name].astype(np.int32) * BIT[name] for name in NAMES)


def _syllables(points):
    """Which characters stand after which parts of a syllable of Hangul."""
    after = {}
    for name, part in (("leading", LEADING), ("vowel", VOWEL)):
        after[name] = np.zeros(CODE_POINTS, bool)
        after[name][points] = _counts(part, points, MARK) == 3
    leading, vowel = after.values()
    return {
        "leading": leading & ~vowel,
        "vowel": leading & vowel,
        "trailing": vowel & ~leading,
    }


def _counts(before, points, after=""):
    """How long the answer is to each code point between two strings."""
    lines = "\n".join(f"{before}{chr(point)}{after}" for point in points)
    answers = Precompiled(_every_character()).normalize_str(lines).split("\n")
    return np.array([len(answer) for answer in answers])


@functools.cache
def _every_character():
    """A map that makes "y" of every character but line ends."""
    units = np.zeros(256 * 6, np.uint32)

    def put(base, byte, child, ends=False):
        place = base ^ byte
        units[place] = ((place ^ child) << 10) | (ends << 8) | byte

    units[0] = ROOT << 10
    for byte in set(range(1, 0x80)) - {10, 13}:
        put(ROOT, byte, LEAF, ends=True)
    for first, last, child in (
        (0xC2, 0xDF, TWO),
        (0xE0, 0xEF, THREE),
        (0xF0, 0xF4, FOUR),
    ):
        for byte in range(first, last + 1):
            put(ROOT, byte, child)
    for byte in range(0x80, 0xC0):
        put(TWO, byte, LEAF, ends=True)
        put(THREE, byte, TWO)
        put(FOUR, byte, THREE)
    array = units.astype("<u4").tobytes()
    return struct.pack("<I", len(array)) + array + b"y\0"
