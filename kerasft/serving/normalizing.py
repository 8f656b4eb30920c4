"""The normalisers of SentencePiece's tokenizers, step by step, in a graph.

Each step is a function of strings. Asked for, not decided: what a character becomes,
and which are white space.

Source: normalizers of huggingface/tokenizers 0.23; the expressions are those that
transformers 5 writes for ALBERT, DeBERTa and T5.
"""

import base64
import functools
import re

import tensorflow as tf
from tokenizers import normalizers, pre_tokenizers

from kerasft.serving.characters import CODE_POINTS, SURROGATES
from kerasft.serving.charsmap import Charsmap
from kerasft.serving.composing import Composer
from kerasft.serving.rewriting import CharacterMap

EXPRESSIONS = {" {2,}": " {2,}", r"\s{2,}|[\n\r\t]": "[%s]{2,}|[\n\r\t]"}
# Characters that are taken apart lose their marks: none is left to be put in order.
BY_CHARACTER = (
    ["Lowercase"],
    ["NFD", "StripAccents"],
    ["NFKD", "StripAccents"],
    ["NFD", "StripAccents", "Lowercase"],
    ["NFKD", "StripAccents", "Lowercase"],
)


def steps_of(normalizer: dict | None) -> list[list[dict]]:
    """The parts of a tokenizer.json's normaliser; some belong together.

    Raises:
        ValueError: names a part that has no graph.
    """
    parts = normalizer.get("normalizers", [normalizer]) if normalizer else []
    steps = []
    while parts:
        size = _grouped(parts)
        if not size:
            raise ValueError(_told(parts[0]))
        steps.append(parts[:size])
        parts = parts[size:]
    return steps


def _grouped(parts):
    """How many parts the next step takes; 0: there is no such step."""
    types = [part["type"] for part in parts]
    for size in (3, 2, 1):
        if types[:size] in BY_CHARACTER:
            return size
    if types[0] == "Replace":
        pattern = parts[0]["pattern"]
        return int("String" in pattern or pattern.get("Regex") in EXPRESSIONS)
    return int(types[0] in ("Precompiled", "NFC", "Strip"))


def _told(part):
    return part["type"] if "pattern" not in part else f"Replace of {part['pattern']}"


class Normalizer(tf.Module):
    """Strings as a normaliser makes them.

    Args:
        normalizer: of a tokenizer.json, whose `steps_of` are all there.
    """

    def __init__(self, normalizer: dict | None):
        super().__init__(name="normalizer")
        steps = (_step(parts) for parts in steps_of(normalizer))
        self._steps = [step for step in steps if step is not None]

    def __call__(self, text):
        """Normalise strings (batch,); what is no UTF-8 becomes U+FFFD."""
        text = tf.strings.unicode_transcode(text, "UTF-8", "UTF-8", "replace")
        for step in self._steps:
            text = step(text)
        return text


class OnPoints(tf.Module):
    """A function of code points as one of strings.

    Args:
        function: ragged int32 (texts, characters) -> alike.
    """

    def __init__(self, function: tf.Module):
        super().__init__(name="on_points")
        self._function = function

    def __call__(self, text):
        """Of strings (batch,)."""
        points = self._function(tf.strings.unicode_decode(text, "UTF-8"))
        return tf.strings.unicode_encode(points, "UTF-8")


class Replacing(tf.Module):
    """All that an expression matches, replaced.

    Args:
        expression: of RE2.
        content: what takes its place.
    """

    def __init__(self, expression: str, content: str):
        super().__init__(name="replacing")
        self._expression = expression
        self._content = content.replace("\\", "\\\\")

    def __call__(self, text):
        """Of strings (batch,)."""
        return tf.strings.regex_replace(text, self._expression, self._content)


def _step(parts) -> tf.Module | None:
    """A step as a function of strings; None: it does nothing."""
    first = parts[0]
    if [part["type"] for part in parts] in BY_CHARACTER:
        return OnPoints(CharacterMap(_answers(tuple(p["type"] for p in parts))))
    if first["type"] == "Precompiled":
        content = base64.b64decode(first["precompiled_charsmap"] or "")
        return OnPoints(Charsmap(content)) if content else None
    if first["type"] == "NFC":
        return Composer()
    if first["type"] == "Strip":
        left, right = rf"\A[{spaces()}]+", rf"[{spaces()}]+\z"
        chosen = [left] * first["strip_left"] + [right] * first["strip_right"]
        return Replacing("|".join(chosen), "") if chosen else None
    pattern = first["pattern"]
    if "String" in pattern:
        return Replacing(re.escape(pattern["String"]), first["content"])
    expression = EXPRESSIONS[pattern["Regex"]].replace("%s", spaces())
    return Replacing(expression, first["content"])


@functools.cache
def _answers(types):
    """What normalisers that see one character at a time make of each."""
    own = normalizers.Sequence([getattr(normalizers, name)() for name in types])
    return [
        None if point in SURROGATES else own.normalize_str(chr(point))
        for point in range(CODE_POINTS)
    ]


@functools.cache
def spaces() -> str:
    """The characters that the reference calls white space, as a class of RE2."""
    split = pre_tokenizers.WhitespaceSplit()
    points = (i for i in range(0x10000) if i not in SURROGATES)
    found = [i for i in points if len(split.pre_tokenize_str(f"a{chr(i)}a")) == 2]
    return "".join(f"\\x{{{point:x}}}" for point in found)
