"""Conversations as the text that a chat model was trained on: its chat template.

The template lies in the checkpoint, in Jinja's language; `sandbox.py` runs it. Which
characters are the assistant's words, it may tell by `{% generation %}` marks; where it
has none, they are what a message adds to the text of the messages before it.

The trap: a template may write earlier messages differently once others follow. Then the
words of the assistant cannot be told apart that way, and an error says so.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import NamedTuple

from kerasft._errors import CheckpointError, DataError
from kerasft.checkpoints.json_files import parse_json
from kerasft.data import sandbox

# As DialoGPT was trained: each turn followed by the end of text.
PLAIN = "{% for message in messages %}{{ message.content }}{{ eos_token }}{% endfor %}"
JOINED = (
    "{% for message in messages %}{{ message.content }}"
    "{% if message.role == 'assistant' %}{{ eos_token }}{% endif %}{% endfor %}"
)
NAMED = ("bos", "eos", "unk", "sep", "pad", "cls", "mask")
GENERATION = re.compile(r"\{%[-+]?\s*generation\s*[-+]?%\}")
PRIVATE = range(0x100000, 0x10FFFE)  # code points that mean nothing


class Spans(NamedTuple):
    """The text of a conversation, and where the assistant's words are.

    Args:
        text: of all messages.
        spans: start and stop, characters, of each message of the assistant, with what
            ends its turn.
    """

    text: str
    spans: list[tuple[int, int]]


@dataclass(frozen=True)
class ChatTemplate:
    """The chat template of a checkpoint.

    Args:
        source: Jinja's text.
        variables: the special tokens by name, such as `eos_token`.
    """

    source: str
    variables: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def from_files(cls, files: Mapping[str, bytes], name: str | None = None):
        """Read it out of a checkpoint's tokenizer files.

        Where there is none, each turn is followed by the end of text, as DialoGPT was
        trained.

        Args:
            files: name -> bytes, as of `Tokenizer.files`.
            name: which of several templates; None: the one called "default".

        Raises:
            CheckpointError: no template of that name, or none that can be read; without
                a template, no end of text.

        Source: Zhang et al. 2020 (arXiv:1911.00536), section 3.1, for DialoGPT.
        """
        found = _templates(files)
        variables = special_tokens(files)
        if not found and name is None:
            return cls(PLAIN, variables | {"eos_token": _end_of_text(files, variables)})
        if (name or "default") not in found:
            raise CheckpointError(
                f"The checkpoint has no chat template {name or 'default'!r}; it has "
                f"{', '.join(map(repr, found)) or 'none'}. Name one of them."
            )
        source = found[name or "default"]
        sandbox.compiled(source)
        return cls(source, variables)

    @classmethod
    def plain(cls, files: Mapping[str, bytes]):
        """Words as they are, an end of text after the assistant's: for completions.

        Raises:
            CheckpointError: the files do not say which token ends a text.
        """
        variables = special_tokens(files)
        return cls(JOINED, variables | {"eos_token": _end_of_text(files, variables)})

    @property
    def marks_generation(self) -> bool:
        """Whether it tells the assistant's words by `{% generation %}`."""
        return bool(GENERATION.search(self.source))

    def render(
        self, messages: Sequence[Mapping], add_generation_prompt=False, **variables
    ) -> str:
        """The text of messages, as the reference's `apply_chat_template` makes it.

        Args:
            messages: dicts of `role` and `content`, and what else the template knows.
            add_generation_prompt: whether the beginning of an answer follows.
            **variables: others that the template knows, such as `tools`.

        Raises:
            DataError: messages that are none, or that the template refuses.
            CheckpointError: a template that does what none should.
        """
        given = {"tools": None, "documents": None, **self.variables, **variables}
        given["messages"] = _checked(messages)
        given["add_generation_prompt"] = add_generation_prompt
        return sandbox.run(self.source, _plain(given, "the variables"))

    def spans(self, messages: Sequence[Mapping], last=False, **variables) -> Spans:
        """The text of messages, and where the assistant's words are in it.

        White space that follows the end-of-turn mark is not the assistant's, for no
        model needs to write it.

        Args:
            messages: as of `render`.
            last: whether only its last message is looked for; that works, too, where a
                template writes earlier ones differently.
            **variables: as of `render`.

        Raises:
            DataError: as `render`; the words cannot be told apart.
        """
        text = self.render(messages, **variables)
        if self.marks_generation:
            spans = self._marked(messages, text, variables)
            return Spans(text, spans[-1:] if last else spans)
        said = [i for i, one in enumerate(messages) if one["role"] == "assistant"]
        said = said[-1:] if last else said
        spans = [self._added(messages, i, text, variables) for i in said]
        return Spans(text, spans)

    def _marked(self, messages, text, variables):
        """The spans between the template's own marks."""
        marks = unused([text], 2)
        shown = self.render(messages, **variables, **{sandbox.MARKS: marks})
        if without(shown, marks) != text:
            raise DataError(
                "The chat template makes another text once its {% generation %} marks "
                "are looked at, so they cannot be trusted. Train with loss_on='all'."
            )
        spans, place, start = [], 0, None
        for character in shown:
            if character == marks[0]:
                start = place
            elif character == marks[1]:
                spans.append((start, place))
            else:
                place += 1
        return spans

    def _added(self, messages, i, text, variables):
        """The span that message `i` adds to the prompt before it."""
        prompt = self.render(messages[:i], True, **variables) if i else ""
        until = self.render(messages[: i + 1], **variables)
        if not i or not (until.startswith(prompt) and text.startswith(until)):
            raise DataError(
                f"The chat template does not tell what message {i} of the assistant "
                "is: the text of the messages before it is no beginning of the whole. "
                "Begin with a user's message, give the template {% generation %} marks "
                "around the assistant's words, or train with loss_on='completion' (its "
                "last message) or 'all'."
            )
        words = str(messages[i]["content"]).rstrip()
        stripped = until.rstrip()
        return len(prompt), len(until if stripped.endswith(words) else stripped)


def special_tokens(files: Mapping[str, bytes]) -> dict[str, str]:
    """The special tokens that a checkpoint's files name: `bos_token` -> "<s>"."""
    found = {}
    for file in ("special_tokens_map.json", "tokenizer_config.json"):
        about = parse_json(files[file], file) if file in files else {}
        for name in (f"{name}_token" for name in NAMED):
            token = about.get(name)
            token = token.get("content") if isinstance(token, dict) else token
            if isinstance(token, str):
                found[name] = token
    return found


def unused(texts: Sequence[str], count: int) -> list[str]:
    """So many characters that mean nothing and stand in none of the texts."""
    taken = set(chain.from_iterable(texts))
    free = (chr(point) for point in PRIVATE if chr(point) not in taken)
    return [next(free) for _ in range(count)]


def without(text: str, characters: Sequence[str]) -> str:
    """The text without these characters."""
    return text.translate({ord(character): None for character in characters})


def _templates(files):
    """Name -> source of all templates in the files."""
    if "chat_template.jinja" in files:
        return {"default": files["chat_template.jinja"].decode("utf-8")}
    about = {}
    if "tokenizer_config.json" in files:
        about = parse_json(files["tokenizer_config.json"], "tokenizer_config.json")
    given = about.get("chat_template")
    if given is None:
        return {}
    if isinstance(given, str):
        return {"default": given}
    try:
        return {str(one["name"]): str(one["template"]) for one in given}
    except (TypeError, KeyError) as error:
        raise CheckpointError(
            "tokenizer_config.json: chat_template is neither a text nor a list of "
            "objects with name and template. Copy the file again."
        ) from error


def _end_of_text(files, variables):
    if "eos_token" in variables:
        return variables["eos_token"]
    about = parse_json(files.get("tokenizer.json", b"{}"), "tokenizer.json")
    special = [t["content"] for t in about.get("added_tokens", ()) if t["special"]]
    if len(special) == 1:  # GPT-2's files name none, and have just this one.
        return special[0]
    raise CheckpointError(
        "The checkpoint has no chat template, and its files do not say which token "
        "ends a text. Name it as eos_token in tokenizer_config.json."
    )


def _checked(messages):
    """Messages as plain dicts, without what is None."""
    if isinstance(messages, Mapping | str) or not len(messages):
        raise DataError("Expected a list of messages, one at least.")
    for i, message in enumerate(messages):
        if not isinstance(message, Mapping) or not isinstance(message.get("role"), str):
            raise DataError(
                f"Message {i} is {message!r:.80}; expected a dict of role and content."
            )
    return [{k: v for k, v in one.items() if v is not None} for one in messages]


def _plain(value, where):
    """A copy of plain values: a template gets nothing that has methods of its own."""
    if isinstance(value, Mapping):
        return {str(key): _plain(one, str(key)) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(one, where) for one in value]
    if value is None or type(value) in (str, int, float, bool):
        return value
    raise DataError(
        f"{where}: found {value!r:.80}; a chat template takes texts, numbers, lists "
        "and dicts alone."
    )
