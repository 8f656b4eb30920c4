"""A pre-tokeniser's regular expression, in letters for kinds of characters.

GPT-2, Llama 3 and Qwen 2 cut texts into words by expressions like ` ?\\p{L}+`. RE2,
the engine that TensorFlow has, knows neither their look-ahead `\\s+(?!\\S)` nor the
reference's version of Unicode. So each part of an expression that stands for one
character is put to the reference, for every code point; code points that no part tells
apart are one *kind*, written as one ASCII letter; and what RE2 sees is the text in
these letters and the expression in them.

The trap is the look-ahead: a row of white space, but not its last one if something
else follows. That last one gets a letter of its own, and `\\s+(?!\\S)` becomes a row of
white space without it.

Source: Split and ByteLevel of huggingface/tokenizers 0.23; Radford et al. 2019 (the
expression of GPT-2).
"""

import functools
import itertools
import re
from dataclasses import dataclass

import numpy as np
from tokenizers import Regex
from tokenizers.pre_tokenizers import Split

from kerasft.serving.characters import CODE_POINTS, SURROGATES
from kerasft.serving.reference import UnsupportedTokenizerError

GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
FOLDED = "(?i:"
AHEAD = r"\s+(?!\S)"
# What is not listed, as `^`, `\b`, `a++` and `a{2}?`, cannot be translated.
PART = re.compile(
    r"(?P<ahead>\\s\+\(\?!\\S\))"
    r"|(?P<open>\((?:\?i?:|(?!\?)))"
    r"|(?P<close>\))"
    r"|(?P<count>(?:[?*+]\??|\{\d+(?:,\d*)?\})(?![?*+{]))"
    r"|(?P<bar>\|)"
    r"|(?P<one>\[\^?(?:\\[pP]\{\^?\w+\}|\\[srntdwSDW]|\\[^\w]|[^\[\]\\&])+\]"
    r"|\\[pP]\{\^?\w+\}|\\[srntdwSDW]|\\[^\w]|[^\\\[\](){}?*+|.^$])",
    re.DOTALL,
)
REPLACEMENT = 0xFFFD
ALL_POINTS = np.setdiff1d(np.arange(CODE_POINTS), SURROGATES)
QUESTIONS = 1 << 16
FIRST_LETTER = ord("0")
MOST_KINDS = (0x80 - FIRST_LETTER) // 2


@dataclass(frozen=True)
class Kinds:
    """An expression in letters.

    Args:
        pattern: for RE2.
        of_point: uint8 (0x110000,), the letter of each code point. The one after it
            stands for white space that is followed by something else.
        spaces: the letters that are white space.
    """

    pattern: str
    of_point: np.ndarray
    spaces: tuple[int, ...]


@functools.lru_cache(maxsize=8)
def read_regex(expression: str) -> Kinds:
    """Write an expression in letters. Takes a few seconds.

    Raises:
        UnsupportedTokenizerError: parts of it cannot be translated exactly.
    """
    parts = list(_parts(expression))
    _raise_if_folded_together(expression, [text for _, text in parts])
    members = _members({part for kind, part in parts if kind == "one"})
    kind_of_point = np.zeros(CODE_POINTS, np.int64)
    for found in members.values():
        # Kinds so far, each in two: what this part stands for and what it does not.
        kind_of_point = np.unique(2 * kind_of_point + found, return_inverse=True)[1]
    kinds, examples = np.unique(kind_of_point, return_index=True)
    if len(kinds) > MOST_KINDS:
        raise _unsupported(expression, f"{len(kinds)} kinds of characters")
    letters = FIRST_LETTER + 2 * kinds
    spaces = members[r"\s"][examples]
    if (spaces == members[r"\S"][examples]).any():
        raise _unsupported(expression, AHEAD)
    written = {AHEAD: _either(letters[spaces]) + "+"}
    for part, found in members.items():
        own = found[examples]
        written[part] = _either([*letters[own], *(letters[own & spaces] + 1)])
    return Kinds(
        "".join(written.get(text, text) for _, text in parts),
        letters[kind_of_point].astype(np.uint8),
        tuple(letters[spaces].tolist()),
    )


def _raise_if_folded_together(expression, parts):
    """Refuse letters that without case are one character together, as "ss" is "ß"."""
    together = [i for i in range(CODE_POINTS) if len(chr(i).casefold()) > 1]
    for one, other in itertools.pairwise(parts):
        if one.startswith(FOLDED) and other.startswith(FOLDED):
            both = f"{one[:-1]}{other.removeprefix(FOLDED)}"
            if _asked(both, np.array(together)).any():
                raise _unsupported(expression, both)


def _members(parts):
    """Part of an expression -> bool (0x110000,): the code points it is a match of."""
    sets = {part for part in parts if len(part) > 1 and not part.startswith(FOLDED)}
    literals = sorted(parts - sets)
    found = {part: _members_of(part) for part in sorted(sets | {r"\s", r"\S"})}
    # Letters stand for few characters, so that these are looked for together first.
    few = np.flatnonzero(_members_of("|".join(literals)))
    return found | {part: _asked(part, few) for part in literals}


@functools.lru_cache(maxsize=32)
def _members_of(part):
    return _asked(part, ALL_POINTS)


def _asked(part, points):
    """Bool (0x110000,): which of some code points are a match."""
    split = Split(Regex(part), "removed")
    found = np.zeros(CODE_POINTS, bool)
    for start in range(0, len(points), QUESTIONS):
        asked = points[start : start + QUESTIONS]
        found[asked] = True
        for _, (begin, end) in split.pre_tokenize_str("".join(map(chr, asked))):
            found[asked[begin:end]] = False
    # No text has surrogates; decoding puts this in their place.
    found[SURROGATES.start : SURROGATES.stop] = found[REPLACEMENT]
    return found


@functools.cache
def spaces() -> str:
    """What the reference takes for white space, a class of characters for RE2."""
    points = np.flatnonzero(_members_of(r"\s"))
    return "[" + "".join(f"\\x{{{point:x}}}" for point in points) + "]"


def _either(letters):
    """One of some letters, for RE2, which takes no empty list; no text has NUL."""
    return "[" + "".join(f"\\x{letter:02x}" for letter in [0, *letters]) + "]"


def _unsupported(expression, what):
    return UnsupportedTokenizerError(
        f"The serving graph cannot cut texts by {expression!r} exactly, because of "
        f"{what!r}. Export with signature='tokens' and tokenise before the request."
    )


def _parts(expression):
    """(kind, text) of each part; in `(?i:...)` single characters bring their own."""
    place, folds = 0, [False]
    while place < len(expression):
        found = PART.match(expression, place)
        if not found:
            raise _unsupported(expression, expression[place:])
        kind, text = found.lastgroup, found[0]
        if kind == "open":
            folds.append(folds[-1] or "i" in text)
            text = "(?:"
        elif kind == "close":
            folds.pop()
        elif kind == "one" and folds[-1]:
            text = f"{FOLDED}{text})"
        yield kind, text
        place = found.end()
