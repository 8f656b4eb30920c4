"""Spell texts and vocabulary in letters that TensorFlow Text reads as we mean them.

`FastWordpieceTokenizer` finds words, punctuation and pieces in one pass over a text,
but by ICU's idea of punctuation and white space, which is not the reference's. So
both sides are spelt anew: ASCII letters, digits and punctuation, on which all agree,
stay; each other character of the vocabulary gets a letter that is a letter to every
library; all characters that are in no piece share one letter, since a word that holds
one of them is unknown anyway.

In go the vocabulary and the table of `characters.replacements`, out comes how to write
each code point of a text and each piece.
"""

import string
from collections.abc import Iterable

from kerasft.serving.reference import Reference, UnsupportedTokenizerError

UNKNOWN, CONTINUES, UNKNOWN_PIECE = "\u00c0\u00c1\u00c2"
LONGEST_PIECE = 256  # Bytes; FastWordpieceTokenizer refuses longer ones.
PUNCTUATION = frozenset(string.punctuation)
AGREED = PUNCTUATION.union(string.ascii_letters, string.digits)


def choose_letters(vocabulary: Iterable[str]) -> dict[str, str]:
    """For each character of the vocabulary, the letter to write it with.

    Raises:
        UnsupportedTokenizerError: there are more characters than letters.
    """
    longest = {}
    for piece in vocabulary:
        longest |= {c: max(len(piece), longest.get(c, 0)) for c in piece}
    # Characters of long pieces get short letters: see LONGEST_PIECE.
    alphabet = sorted(longest.keys() - AGREED - {" "}, key=lambda c: (-longest[c], c))
    letters = dict(zip(alphabet, _spare_letters(), strict=False))
    if len(letters) < len(alphabet):
        raise UnsupportedTokenizerError(
            f"The vocabulary is written in {len(alphabet)} characters, the serving "
            f"graph has letters for {len(letters)}. Export with signature='tokens'."
        )
    return letters | {character: character for character in AGREED}


def _spare_letters():
    """Letters of two bytes, Hangul syllables of three, private characters of four."""
    yield from filter(str.isalpha, map(chr, range(ord(UNKNOWN_PIECE) + 1, 0x800)))
    yield from map(chr, range(0xAC00, 0xD7A4))
    yield from map(chr, range(0xF0000, 0xFFFFE))


class _LetterOf(dict):
    """A translation in which all that is not in the vocabulary is one letter."""

    def __missing__(self, point):
        return UNKNOWN


def spell_lines(text: str, letters: dict[str, str]) -> list[str]:
    """Write each line of a text; spaces stay."""
    letter_of = _LetterOf(str.maketrans(letters | {" ": " ", "\n": "\n"}))
    return text.translate(letter_of).split("\n")


def spell_pieces(reference: Reference, letters: dict[str, str]) -> dict[str, int]:
    """Write the pieces that a word can match: letters, or one punctuation mark.

    With a prefix of letters, or none, one piece may both start and continue a word.

    Returns:
        Spelt piece to token id; the one of the unknown token is `UNKNOWN_PIECE`.

    Raises:
        UnsupportedTokenizerError: pieces are longer than the tokenizer op takes.
    """
    spelt = {UNKNOWN_PIECE: reference.unknown_id}
    too_long = []
    for piece, token_id in reference.vocabulary.items():
        for mark, text in _readings(piece, reference):
            word = "".join(letters[character] for character in text)
            if len(word.encode()) > LONGEST_PIECE:
                too_long.append(piece)
            spelt[mark + word] = token_id
    if too_long:
        raise UnsupportedTokenizerError(
            f"{len(too_long)} pieces of the vocabulary are longer than the "
            f"{LONGEST_PIECE} bytes the serving graph can match: {too_long[:3]}. "
            "Export with signature='tokens'."
        )
    return spelt


def _readings(piece, reference):
    """The words, or ends of words, that a piece can be: (mark, text)."""
    if piece in PUNCTUATION:
        yield "", piece
    found = [("", piece)]
    if piece.startswith(reference.prefix):
        found.append((CONTINUES, piece.removeprefix(reference.prefix)))
    for mark, text in found:
        if 0 < len(text) <= reference.longest_word and _all_letters(text):
            yield mark, text


def _all_letters(text):
    return PUNCTUATION.isdisjoint(text) and " " not in text
