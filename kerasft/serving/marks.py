"""The order of combining marks, where the reference sorts them.

Stripping accents goes through NFD, which sorts neighbouring marks by their combining
class. Nearly all of them are then stripped; some 80, spacing marks and those younger
than the reference's tables, stay, and two of them may have changed places. It matters
only for a vocabulary that has two such marks, which no common one has.

In go spelt letters, out come the same letters in the reference's order.

Source: Unicode Standard Annex 15, canonical ordering.
"""

import itertools
from collections.abc import Iterable

import numpy as np
import tensorflow as tf
from tokenizers.normalizers import NFD, BertNormalizer

from kerasft.serving.characters import CODE_POINTS, ask_each

LOW_MARK, HIGH_MARK = "\u0334", "\u0345"  # Combining classes 1 and 240, the extremes.
LAST_CLASS = 255


def mark_ranks(normalizer: BertNormalizer, alphabet: Iterable[str]) -> dict[str, int]:
    """Rank, from 1, the characters of the alphabet that may change places.

    Returns:
        Character to rank: in a row of marks lower ranks go first. Empty if nothing
        can move.
    """
    marks = [
        mark
        for mark in alphabet
        if _sorted_by_nfd(mark) and normalizer.normalize_str(mark) == mark
    ]
    ranks = dict.fromkeys(marks, 1)
    for mark, other in itertools.permutations(marks, 2):
        ranks[mark] += normalizer.normalize_str(mark + other) == other + mark
    return ranks if len(set(ranks.values())) > 1 else {}


def _sorted_by_nfd(mark):
    sort = NFD().normalize_str
    return (
        sort(mark + LOW_MARK) == LOW_MARK + mark
        or sort(HIGH_MARK + mark) == mark + HIGH_MARK
    )


class MarkOrder(tf.Module):
    """Sort marks as the reference does.

    Args:
        normalizer: the reference's.
        ranks: as from `mark_ranks`, not empty.
        letters: what each character is spelt with.
    """

    def __init__(self, normalizer, ranks, letters):
        super().__init__(name="mark_order")
        low, high = min(ranks, key=ranks.get), max(ranks, key=ranks.get)
        self._stops = tf.constant(
            [
                answer.find(high) < answer.find(low)
                for answer in ask_each(normalizer, before=high, after=low)
            ]
        )
        rank_of_letter = np.zeros(CODE_POINTS, dtype=np.int64)
        for mark, rank in ranks.items():
            rank_of_letter[ord(letters[mark])] = rank
        self._rank_of_letter = tf.constant(rank_of_letter)

    def __call__(self, points, spellings):
        """Sort the letters of each run of marks; a run ends where NFD would not pass.

        Args:
            points: ragged (batch, code points).
            spellings: ragged (all code points, letters of each).

        Returns:
            All letters, flat, in the reference's order.
        """
        stops = tf.cast(tf.gather(self._stops, points.flat_values), tf.int64)
        runs = tf.cumsum(stops) + points.value_rowids()
        runs = tf.gather(runs, spellings.value_rowids())
        ranks = tf.gather(self._rank_of_letter, spellings.flat_values)
        order = tf.argsort(runs * (1 + LAST_CLASS) + ranks, stable=True)
        return tf.gather(spellings.flat_values, order)
