"""Conversations as token ids, in which the template speaks and the user does not.

A chat template writes special tokens, such as "<|im_end|>", and they must be tokens. A
user may write the same words, and then they are words. Promised is: where no message
holds the words of such a token, the ids are those of the reference's
`apply_chat_template`; where one does, they are those of a tokenizer that does not know
that token there, and all other tokens stay the template's. Such tokens are the special
ones, and added ones that the template writes.

How: the messages are rendered with marks around them, so that each token's words are
known for the template's or the user's. Then the template's get another spelling, which
nobody can type, and which alone the tokenizer looks for: it sees the whole text, so
that what it does at the borders of tokens stays as it was.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np

from kerasft._errors import CheckpointError, DataError
from kerasft.data.prompts import ChatTemplate, unused, without
from kerasft.data.tokenizer import Tokenizer

LETTERS = 0x4000
ALPHABETS = range(0xF0000, 0xFC000, LETTERS)  # private; one letter fills up


class ChatTokens(NamedTuple):
    """A conversation's tokens.

    Args:
        ids: (tokens,) int32.
        starts, ends: (tokens,) characters of each in the text.
        text: that the template makes.
    """

    ids: np.ndarray
    starts: np.ndarray
    ends: np.ndarray
    text: str

    def within(self, spans: Sequence[tuple[int, int]]) -> np.ndarray:
        """Bool (tokens,): whether a token lies in one of the spans, or in part."""
        inside = np.zeros(len(self.ids), bool)
        for start, stop in spans:
            touching = np.flatnonzero((self.starts < stop) & (self.ends > start))
            # All between: a token of white space may begin where it ends.
            if len(touching):
                inside[touching[0] : touching[-1] + 1] = True
        return inside


@dataclass(frozen=True)
class ChatTokenizer:
    """Makes token ids of conversations.

    Args:
        tokenizer: of the checkpoint.
        template: of the checkpoint, or another.
    """

    tokenizer: Tokenizer
    template: ChatTemplate

    def __call__(
        self, messages: Sequence[Mapping], add_generation_prompt=False, **variables
    ) -> ChatTokens:
        """The tokens of messages; arguments and errors as of `ChatTemplate.render`.

        Raises:
            DataError: a user's words that cannot be told from the template's.
        """
        text = self.template.render(messages, add_generation_prompt, **variables)
        options = {"add_generation_prompt": add_generation_prompt, **variables}
        if not self._touched(messages):
            encoding = self._plain.backend.encode(text, add_special_tokens=False)
            return _tokens(encoding, text)
        return self._told_apart(messages, text, options)

    @cached_property
    def _plain(self) -> Tokenizer:
        return self.tokenizer.reading_special()

    @cached_property
    def _control(self) -> dict[str, dict]:
        """The tokens that are the template's alone, by their words."""
        return {
            token["content"]: token
            for token in self.tokenizer.added
            if token["special"]
            or (token["content"] in self.template.source and token["content"].strip())
        }

    @cached_property
    def _words(self):
        """Finds the words of control tokens, the longest first."""
        longest = sorted(self._control, key=len, reverse=True)
        return re.compile("|".join(map(re.escape, longest)) or "(?!)")

    @cached_property
    def _ends(self):
        """What a control token may begin with, and what it may end with."""
        cuts = [(word, i) for word in self._control for i in range(1, len(word))]
        return {word[:i] for word, i in cuts}, {word[i:] for word, i in cuts}

    def _touched(self, messages):
        """Whether a message has a part in the words of a control token."""
        begins, ends = self._ends
        most = max(map(len, self._control), default=0)
        for text in _texts(messages):
            if self._words.search(text):
                return True
            sizes = range(1, min(most, len(text) + 1))
            if any(text[-i:] in begins or text[:i] in ends for i in sizes):
                return True
        return False

    def _told_apart(self, messages, text, options):
        for message in messages:
            if self._words.search(message["role"]):
                raise DataError(f"A message has the role {message['role']!r}.")
        marks = unused([text, *_texts(messages)], 2)
        whole = re.compile(r"\S(?:.*\S)?", re.DOTALL)
        for marked in (whole, self._words):  # What a template may do with a text.
            shown = [_changed(m, lambda s, e=marked: _wrapped(e, s, marks))
                     for m in messages]  # fmt: skip
            shown = self.template.render(shown, **options)
            places = self._places(shown, marks)
            if without(shown, marks) == text and places is not None:
                return self._encoded(text, places)
        raise DataError(
            "A message holds the words of a special token, and the chat template takes "
            "messages apart so that they cannot be told from its own. Take them out: "
            f"{', '.join(sorted(set(self._words.findall(' '.join(_texts(messages))))))}"
        )

    def _places(self, shown, marks):
        """Start and words of each token that the template wrote; None: unknown."""
        found, place, inside = [], 0, False
        for part in re.split(f"([{''.join(marks)}])", shown):
            if part in marks:
                if inside != (part == marks[1]):
                    return None
                inside = not inside
                continue
            if not inside:
                matches = self._words.finditer(part)
                found += [(place + match.start(), match[0]) for match in matches]
            place += len(part)
        return None if inside else found

    def _encoded(self, text, places):
        """Tokens of a text in which control tokens are at these places alone."""
        first = next((a for a in ALPHABETS if not _has(text, a)), None)
        if first is None:
            raise DataError("A text holds private characters of every kind.")
        tokenizer, spelling = self._disguised(first)
        pieces, stop = [], 0
        for start, word in places:
            pieces += [text[stop:start], spelling[word]]
            stop = start + len(word)
        hidden = "".join([*pieces, text[stop:]])
        encoding = tokenizer.backend.encode(hidden, add_special_tokens=False)
        tokens = _tokens(encoding, text)
        control = [token["id"] for token in self._control.values()]
        if np.isin(tokens.ids, control).sum() < len(places):
            raise CheckpointError(
                "The checkpoint's tokenizer changes texts before it looks for special "
                "tokens, so that they cannot be told from a user's words. The text: "
                f"{text!r:.200}"
            )
        return tokens

    @cached_property
    def _kept(self) -> dict:
        return {}

    def _disguised(self, first):
        """A tokenizer that finds control tokens by another spelling, and the spellings.

        They have as many characters as the words, so that places in the text stay.
        """
        if first not in self._kept:
            fill = chr(first + LETTERS - 1)
            spelling = {
                word: chr(first + i) + fill * (len(word) - 1)
                for i, word in enumerate(self._control)
            }
            self._kept[first] = self.tokenizer.renamed(spelling), spelling
        return self._kept[first]


def _tokens(encoding, text):
    offsets = np.array(encoding.offsets, "int64").reshape(-1, 2)
    return ChatTokens(np.array(encoding.ids, "int32"), *offsets.T, text)


def _has(text, first):
    return any(first <= ord(character) < first + LETTERS for character in text)


def _texts(value) -> Iterator[str]:
    """All texts in messages, but their roles."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for key, one in value.items():
            if key != "role":
                yield from _texts(one)
    elif isinstance(value, list | tuple):
        for one in value:
            yield from _texts(one)


def _changed(value, change):
    """A copy of a message, each text in it changed."""
    if isinstance(value, str):
        return change(value)
    if isinstance(value, Mapping):
        return {k: v if k == "role" else _changed(v, change) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_changed(one, change) for one in value]
    return value


def _wrapped(expression, text, marks):
    return expression.sub(lambda match: f"{marks[0]}{match[0]}{marks[1]}", text)
