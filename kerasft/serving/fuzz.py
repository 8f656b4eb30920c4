"""Texts made to break a tokenizer: seeded, over all planes of Unicode.

In goes a count, a seed and, best, the vocabulary of the tokenizer to try; out come
strings. The trap they are made for: characters that two libraries judge by different
versions of Unicode, marks that normalising moves, and words of 99, 100 and 101
characters. Without `pieces` most strange words become [UNK] and hide what differs.
"""

import functools
import random
import unicodedata
from collections.abc import Iterator, Sequence

BLOCKS = (
    (0x00, 0x20), (0x20, 0x7F), (0x7F, 0x100), (0x100, 0x250), (0x250, 0x370),
    (0x370, 0x400), (0x400, 0x530), (0x590, 0x600), (0x600, 0x700), (0x8A0, 0xA00),
    (0xE00, 0xF00), (0xF00, 0x1000), (0x1100, 0x1200), (0x1AB0, 0x1C00),
    (0x1DC0, 0x1E00), (0x1E00, 0x2000), (0x2000, 0x2070), (0x2070, 0x2400),
    (0x2460, 0x2800), (0x2E00, 0x2F00), (0x3000, 0x3100), (0x3130, 0x3300),
    (0x3400, 0x4DC0), (0x4E00, 0xA000), (0xA640, 0xAC00), (0xAC00, 0xD7A4),
    (0xE000, 0xF900), (0xF900, 0xFB50), (0xFB50, 0xFE00), (0xFE00, 0xFF00),
    (0xFF00, 0x10000), (0x10000, 0x10200), (0x10A00, 0x11700), (0x16F00, 0x17000),
    (0x1B000, 0x1B200), (0x1D100, 0x1D800), (0x1E000, 0x1E100), (0x1E900, 0x1E960),
    (0x1F000, 0x1FB00), (0x20000, 0x2A6E0), (0x2A700, 0x2FA20), (0x30000, 0x31400),
    (0xE0000, 0xE0200), (0xF0000, 0xF0100), (0xFFF00, 0x110000),
)  # fmt: skip
SPACES = (
    " ", "  ", "\t", "\n", "\r\n", "\x0b", "\x0c", "\x1c", "\x1f", "\x85", "\xa0",
    "\u1680", "\u180e", "\u2003", "\u200b", "\u2028", "\u2029", "\u202f", "\u205f",
    "\u2060", "\u3000", "\ufeff",
)  # fmt: skip
STRANGE_WORDS = (
    "[SEP]", "[CLS]", "[MASK]", "[PAD]", "[UNK]", "[sep]", "x[SEP]y", "[ SEP ]",
    "[unused1]", "##ing", "##", "#", "\u2581", "</s>", "<|endoftext|>",
    "\u0130stanbul", "I\u0131i\u0130", "\u03a3\u03b1\u03c2 \u039f\u03a3", "\ufb01n",
    "stra\u1e9ee", "\u01c5", "\u00b2\u00bd\u2167", "\u0e01\u0e33", "a\u0300\u0316",
    "\U0001f468\u200d\U0001f469\u200d\U0001f467", "\U0001f44d\U0001f3fd",
    "\U0001f1e9\U0001f1ea", "1\ufe0f\u20e3", "\u200fabc\u200e", "\u202eabc\u202c",
    "\u05d0\u05b8\u05d1", "\u0627\u064b\u0644\u0651", "a\x00b", "\x00", "\ufffd",
    "a\ufffdb", "\ufffe", "\uffff", "\U0010ffff", "\ufdd0", "\ud55c\u1112\u1161\u11ab",
    "\u302e\U0001d165", "a\u1b44\u302e\U0001d165\u0301", "\U0001d15e\u302e",
    "don't", "e-mail@x.y", "$5.00", "\u2019\u201c\u2014", "",
)  # fmt: skip


def adversarial_texts(
    count: int, seed: int = 0, pieces: Sequence[str] = ()
) -> Iterator[str]:
    """Yield `count` texts, the same ones for the same arguments.

    Args:
        count: how many.
        seed: of the random choices.
        pieces: words and word pieces to build further words of.
    """
    chance = random.Random(seed)
    kinds = [_block, _anywhere, _marked, _strange, _long, _plain]
    kinds += [lambda chance: _glued(chance, pieces)] * (3 if pieces else 0)
    for _ in range(count):
        words = [chance.choice(kinds)(chance) for _ in range(chance.randrange(7))]
        text = "".join(part for word in words for part in (word, _between(chance)))
        if chance.random() < 0.2:
            form = chance.choice(("NFC", "NFD", "NFKC", "NFKD"))
            text = unicodedata.normalize(form, text)
        yield chance.choice(("", "", "", " ", "\n\u3000")) + text


def _between(chance):
    return chance.choice(SPACES) if chance.random() < 0.3 else chance.choice(("", " "))


def _character(chance, start, stop):
    point = chance.randrange(start, stop)
    return "\ufffd" if 0xD800 <= point < 0xE000 else chr(point)


def _block(chance):
    block = chance.choice(BLOCKS)
    return "".join(_character(chance, *block) for _ in range(chance.randint(1, 6)))


def _anywhere(chance):
    return "".join(_character(chance, 0, 0x110000) for _ in range(chance.randint(1, 4)))


@functools.cache
def _marks():
    points = (*range(0x20000), *range(0xE0100, 0xE01F0))
    return [c for c in map(chr, points) if unicodedata.category(c)[0] == "M"]


def _marked(chance):
    return chance.choice("aE\u03b1\u0915\u0644\uac00\u4e00 ") + "".join(
        chance.choice(_marks()) for _ in range(chance.randint(1, 5))
    )


def _strange(chance):
    return chance.choice(STRANGE_WORDS)


def _long(chance):
    unit = chance.choice(("a", "\u00e9", "\u0130", "\uac01", "\u00df", "e\u0301", "-"))
    if chance.random() < 0.3:
        unit = _character(chance, *chance.choice(BLOCKS))
    length = chance.choice((50, 99, 100, 101, 102, 200))
    return unit * length + chance.choice(("", "b", ",", "\u0301"))


def _plain(chance):
    return "".join(chr(chance.randrange(32, 127)) for _ in range(chance.randint(1, 9)))


def _glued(chance, pieces):
    word = "".join(
        chance.choice(pieces).removeprefix("##") for _ in range(chance.randint(1, 4))
    )
    return chance.choice((str, str.upper, str.title))(word)


def with_masks(texts: Sequence[str], mask: str, seed: int = 0) -> list[str]:
    """The texts with a mask in them: at one to three places where they have none."""
    chance = random.Random(seed)
    masked = []
    for text in texts:
        places = [chance.randint(0, len(text)) for _ in range(chance.randint(1, 3))]
        for place in sorted(places, reverse=True) if mask not in text else ():
            text = text[:place] + mask + text[place:]
        masked.append(text)
    return masked
