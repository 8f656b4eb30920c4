"""SentencePiece's normaliser in a graph: a map from short strings to others.

The map is looked up for each cluster of characters of fewer than six bytes as a whole,
else for each character. The traps: of the keys that a cluster begins with the shortest
is taken, and what stands behind it in the cluster is dropped.

Source: Precompiled of huggingface/tokenizers 0.23; Kudo & Richardson 2018
(arXiv:1808.06226), section 3.2; the double array of Darts-clone.
"""

import struct

import numpy as np
import tensorflow as tf

from kerasft.serving.characters import CODE_POINTS
from kerasft.serving.graphemes import SMALL, Graphemes
from kerasft.serving.lookup import lookup
from kerasft.serving.rewriting import SAME, Rewriting, utf8_sizes

MOST = 3  # characters of a small cluster


class Charsmap(tf.Module):
    """Normalise code points as a `Precompiled` normaliser does.

    Args:
        content: the map, as a tokenizer.json holds it, decoded.
    """

    def __init__(self, content: bytes):
        super().__init__(name="charsmap")
        entries = entries_of(content)
        row_of = {text: row for row, text in enumerate(sorted(set(entries.values())))}
        of_point, several = np.full(CODE_POINTS, SAME, np.int32), {}
        for key, text in entries.items():
            if len(key) == 1:
                of_point[ord(key)] = row_of[text]
            elif len(key) <= MOST:
                several[_number(map(ord, key))] = row_of[text]
        self._row_of_point = tf.constant(of_point)
        self._row_of_several = lookup([*several], [*several.values()], -1)
        self._rewriting = Rewriting([*row_of])
        self._graphemes = Graphemes()

    def __call__(self, points):
        """Replace what is in the map.

        Args:
            points: code points, ragged int32 (texts, characters).

        Returns:
            The same, with others in their place.
        """
        return self._rewriting(points, *self._rows(points))

    def _rows(self, points):
        """Row of each character's replacement, `SAME` for none; which are dropped."""
        flat = points.flat_values
        begins = self._graphemes(points)
        cluster = tf.cumsum(tf.cast(begins, tf.int64)) - 1
        small = tf.math.segment_sum(utf8_sizes(flat), cluster) < SMALL
        small = tf.gather(small, cluster)
        rows = tf.gather(self._row_of_point, flat)
        whole = tf.where(begins & small, rows, -1)
        wide, inside = tf.cast(flat, tf.int64), begins
        key = wide
        for ahead in range(1, MOST):
            next_one = tf.roll(cluster, -ahead, 0) == cluster
            inside &= next_one & (tf.range(tf.size(flat)) + ahead < tf.size(flat))
            key = key * CODE_POINTS + tf.roll(wide, -ahead, 0)
            asked = inside & small & (whole < 0)
            found = self._row_of_several.lookup(tf.where(asked, key, -1))
            whole = tf.where(asked, tf.cast(found, tf.int32), whole)
        taken = tf.gather(tf.math.segment_max(whole, cluster) >= 0, cluster)
        return tf.where(begins & taken, whole, rows), taken & ~begins


def entries_of(content: bytes) -> dict[str, str]:
    """The strings that a small cluster can begin with, and what replaces it then.

    Keys that begin with another key are left out, for the shorter one is taken.
    """
    (size,) = struct.unpack_from("<I", content)
    units = np.frombuffer(content, "<u4", size // 4, 4)
    texts, found = content[4 + size :], {}

    def offset(unit):
        return (unit >> 10) << ((unit & (1 << 9)) >> 6)

    waiting = [(int(offset(int(units[0]))), b"")]
    while waiting:
        base, key = waiting.pop()
        for byte in range(1, 256):
            place = base ^ byte
            unit = int(units[place]) if place < len(units) else 0
            if unit & (1 << 31 | 0xFF) != byte:
                continue
            below = place ^ offset(unit)
            if unit >> 8 & 1:
                start = int(units[below]) & 0x7FFFFFFF
                end = texts.index(b"\0", start)
                found[(key + bytes([byte])).decode()] = texts[start:end].decode()
            elif len(key) + 2 < SMALL:
                waiting.append((below, key + bytes([byte])))
    return found


def _number(points):
    number = 0
    for point in points:
        number = number * CODE_POINTS + point
    return number
