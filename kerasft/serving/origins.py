"""Which character of a text each letter that a word piece sees comes from.

The reference keeps, beside the text it normalises, the origin of every character, and
what it says is at times not what one would think. Characters that are taken out are in
no span; all that one character turns into comes from that one. But where NFD sorts
marks, it is the *places* that stay: of "a" + acute + adeg adeg (which goes first) the
adeg adeg comes from the acute's place and the acute, which is then stripped, from the
other. So the marks that will be stripped must be sorted along with those that stay.

In go code points, out come letters, as in `spelling.py`, and their origins.

Source: NormalizedString::transform of huggingface/tokenizers 0.23, which counts the
characters used up while it writes the new ones; Unicode Standard Annex 15.
"""

import functools

import numpy as np
import tensorflow as tf
from tokenizers.normalizers import NFD, BertNormalizer

from kerasft.serving.characters import ask_each, replacements
from kerasft.serving.marks import HIGH_MARK, LOW_MARK
from kerasft.serving.spelling import spell_lines

# A part of what a character decomposes into: combining class, as a rank; letters.
Part = tuple[int, str]


def decompositions(normalizer: BertNormalizer, letters: dict[str, str]):
    """What each code point becomes, before marks are sorted and after all is done.

    Takes a few seconds.

    Args:
        normalizer: the reference's.
        letters: what each character is spelt with.

    Returns:
        Row of each code point, int32 (0x110000,), and the rows: tuples of `Part`. Where
        marks are sorted, a character that was removed before has none; one that is
        stripped later, a part without letters.
    """
    lowercase, strips = normalizer.lowercase, normalizer.strip_accents
    before = (normalizer.clean_text, normalizer.handle_chinese_chars)
    if strips is None:
        strips = lowercase
    lines = replacements(*((False, False) if strips else before), strips, lowercase)
    parts = [((0, text),) for text in spell_lines(lines, letters)]
    rows = parts
    if strips:
        _decompose(parts)
        rows = list(parts)
        for point, characters in _cleaned(*before).items():
            rows[point] = tuple(part for c in characters for part in parts[ord(c)])
    numbers = {}
    row_of_point = [numbers.setdefault(row, len(numbers)) for row in rows]
    return np.array(row_of_point, "int32"), list(numbers)


def _decompose(parts: list[tuple[Part, ...]]):
    """Replace, in place, the part of each code point by those NFD makes of it."""
    decomposed, ranks = _canonical()
    for mark, rank in ranks.items():
        ((_, text),) = parts[ord(mark)]
        parts[ord(mark)] = ((rank, text),)
    for point, characters in decomposed.items():
        parts[point] = tuple(parts[ord(c)][0] for c in characters)


@functools.lru_cache(maxsize=4)
def _cleaned(clean_text: bool, handle_chinese_chars: bool) -> dict[int, str]:
    """What the normaliser does before NFD, where it does something."""
    answers = ask_each(BertNormalizer(clean_text, handle_chinese_chars, False, False))
    return {i: answer for i, answer in enumerate(answers) if answer != chr(i)}


@functools.cache
def _canonical() -> tuple[dict[int, str], dict[str, int]]:
    """What the reference's NFD makes of code points that change, and ranks of marks.

    Each is asked between two marks that it sorts if it is a mark itself. The ranks are
    the combining classes, numbered from 1 in their order: NFD leaves marks of one class
    as they are, so of all marks in a row and of the same from last to first, only those
    of one class come out in another order.
    """
    decomposed, marks = {}, ""
    answers = ask_each(NFD(), before=HIGH_MARK, after=LOW_MARK)
    for point, answer in enumerate(answers):
        text = answer.replace(HIGH_MARK, "", 1).replace(LOW_MARK, "", 1)
        if text != chr(point):
            decomposed[point] = text
        elif answer.endswith(HIGH_MARK):
            marks += text
    there, back = (NFD().normalize_str(text) for text in (marks, marks[::-1]))
    place = {mark: i for i, mark in enumerate(back)}
    ranks, rank, before = {}, 0, -1
    for mark in there:
        rank += place[mark] > before
        ranks[mark], before = rank, place[mark]
    return decomposed, ranks


class Origins(tf.Module):
    """Spell code points and say which one each letter is from.

    Args:
        normalizer: the reference's.
        letters: what each character is spelt with.
    """

    def __init__(self, normalizer: BertNormalizer, letters: dict[str, str]):
        super().__init__(name="origins")
        row_of_point, rows = decompositions(normalizer, letters)
        number = {part: i for i, part in enumerate({p for row in rows for p in row})}
        self._row_of_point = tf.constant(row_of_point)
        self._rows = tf.ragged.constant(
            [[number[part] for part in row] for row in rows], tf.int32
        )
        self._class = tf.constant([rank for rank, _ in number], tf.int64)
        self._letters = tf.ragged.constant(
            [[ord(letter) for letter in text] for _, text in number], tf.int32
        )
        self._classes = 1 + max(rank for rank, _ in number)

    def __call__(self, points: tf.RaggedTensor):
        """Spell a batch.

        Args:
            points: int32, ragged (texts, code points).

        Returns:
            Letters and, for each, the number of its code point among all of the batch:
            two int32 (letters,).
        """
        rows = tf.gather(self._rows, tf.gather(self._row_of_point, points.flat_values))
        parts, point = rows.flat_values, tf.cast(rows.value_rowids(), tf.int32)
        used_up = tf.concat([[True], point[1:] != point[:-1]], 0)[: tf.size(point)]
        places = tf.boolean_mask(point, used_up)
        if self._classes > 1:
            order = self._order(parts, tf.gather(points.value_rowids(), point))
            parts, used_up = tf.gather(parts, order), tf.gather(used_up, order)
        origins = tf.gather(places, tf.cumsum(tf.cast(used_up, tf.int32)) - 1)
        letters = tf.gather(self._letters, parts)
        return letters.flat_values, tf.gather(origins, letters.value_rowids())

    def _order(self, parts, texts):
        """Sort each row of marks; what is no mark has class 0 and begins a new row."""
        classes = tf.gather(self._class, parts)
        row = tf.cumsum(tf.cast(classes == 0, tf.int64)) + texts
        return tf.argsort(row * self._classes + classes, stable=True)
