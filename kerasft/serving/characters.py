"""What the reference makes of each single character, found by asking it.

BERT's normaliser and pre-tokeniser look at one code point at a time, so a table of
their 1.1 million answers *is* the two of them: out comes, per code point, the
characters that replace it, with every white space as " " and every punctuation mark
between spaces. (One thing is no function of single code points: see `marks.py`.)

The trap: two libraries never agree on what is punctuation, a control or an accent,
because each carries its own Unicode version. Hence asking instead of deciding.

Source: BertNormalizer and BertPreTokenizer of huggingface/tokenizers 0.23.
"""

import functools
import itertools

from tokenizers.normalizers import BertNormalizer
from tokenizers.pre_tokenizers import BertPreTokenizer

SURROGATES = range(0xD800, 0xE000)
CODE_POINTS = 0x110000
# Answers are read off one long string; a digit between the questions is a letter to
# both components, and keeps a combining mark from reaching its neighbour.
SEPARATOR = "0"
QUESTIONS = 8192


@functools.lru_cache(maxsize=8)
def replacements(
    clean_text: bool,
    handle_chinese_chars: bool,
    strip_accents: bool | None,
    lowercase: bool,
) -> str:
    """Per code point, what is left of it after normaliser and pre-tokeniser.

    Takes a few seconds. The arguments are those of `BertNormalizer`.

    Returns:
        0x110000 lines, one string to save memory; that of a surrogate is empty, and
        none holds a line feed of its own, which is white space.
    """
    normalizer = BertNormalizer(
        clean_text, handle_chinese_chars, strip_accents, lowercase
    )
    answers = ask_each(normalizer)
    spaced = _spaced("".join(set("".join(answers))))
    return "\n".join(answer.translate(spaced) for answer in answers)


def ask_each(normalizer, before: str = "", after: str = "") -> list[str]:
    """What the normaliser makes of each code point, set between two strings."""
    answers = [""] * CODE_POINTS
    glue = after + SEPARATOR + before
    for part in _questions():
        found = normalizer.normalize_str(glue.join(("", *part, "")))
        found = found.split(SEPARATOR)[1:-1]
        for character, answer in zip(part, found, strict=True):
            answers[ord(character)] = answer
    answers[ord(SEPARATOR)] = before + SEPARATOR + after
    return answers


def _questions():
    points = itertools.chain(
        range(SURROGATES.start), range(SURROGATES.stop, CODE_POINTS)
    )
    characters = "".join(map(chr, points)).replace(SEPARATOR, "")
    for start in range(0, len(characters), QUESTIONS):
        yield characters[start : start + QUESTIONS]


def _spaced(characters):
    """A translation of white space to " " and of punctuation to " x "."""
    spaced = {}
    for start in range(0, len(characters), QUESTIONS):
        text = SEPARATOR.join(("", *characters[start : start + QUESTIONS], ""))
        previous_end = 0
        for word, (begin, end) in BertPreTokenizer().pre_tokenize_str(text):
            spaced |= {ord(text[place]): " " for place in range(previous_end, begin)}
            if end - begin == 1 and word != SEPARATOR:
                spaced[ord(word)] = f" {word} "
            previous_end = end
    return spaced
