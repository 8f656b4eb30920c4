"""Conversations to examples: token ids, and which of them a model shall learn.

What is too long loses whole turns at its beginning, its system message stays; what is
too long with its last turn alone is left out. Both are counted, none is cut inside a
message: an answer whose question is gone, or whose end is, teaches the wrong thing.
"""

from dataclasses import dataclass
from datetime import date

import numpy as np

from kerasft._errors import DataError, SettingsError
from kerasft.data.cache import kept_arrays
from kerasft.data.chat_tokens import ChatTokenizer
from kerasft.data.conversation_rows import Conversations
from kerasft.data.encoding import CACHED_FROM
from kerasft.data.packing import Stretches
from kerasft.data.progress import bar
from kerasft.data.rejects import SHOWN

FORMAT = 1
CHUNK = 500
TYPES = {"ids": "int32", "scored": "bool", "lengths": "int64", "rows": "int64"}
TYPES |= {"shortened": "int64"}
LOSSES = ("assistant", "completion", "all")
TOO_LONG = ("shorten", "leave_out", "error")


@dataclass(frozen=True)
class ConversationExamples:
    """Conversations as examples.

    Args:
        examples: their tokens, and which count; `rows` tells the row of each.
        shortened: how many lost turns at their beginning.
        left_out: how many are no example: too long, or nothing in them counts.
        total: how many there were.
    """

    examples: Stretches
    shortened: int
    left_out: int
    total: int

    @property
    def told(self) -> str:
        """What was done to conversations that are too long; "" where none is."""
        if not self.shortened and not self.left_out:
            return ""
        return (
            f"Of {self.total:,} conversations, too long: {self.shortened:,} shortened "
            f"by their first turns, {self.left_out:,} left out."
        )


def conversation_examples(
    rows: Conversations,
    chat: ChatTokenizer,
    loss_on: str = "assistant",
    too_long: str = "shorten",
) -> ConversationExamples:
    """Tokenise conversations, or find them in the cache.

    Args:
        rows: conversations.
        chat: the tokenizer, which knows the most tokens of an example, and the
            template.
        loss_on: "assistant": all that the assistant says, with the end of its turns;
            "completion": the last thing it says; "all": every token but the first.
        too_long: "shorten": leave out turns at the beginning, then the whole; or
            "leave_out" at once; or "error".

    Raises:
        SettingsError: another `loss_on` or `too_long`.
        DataError: no conversation is left; some are too long, with "error"; the
            template does not take some, or does not tell the assistant's words.
    """
    for name, value, known in (
        ("loss_on", loss_on, LOSSES),
        ("too_long", too_long, TOO_LONG),
    ):
        if value not in known:
            raise SettingsError(f"{name} is {value!r}; known: {', '.join(known)}.")
    if not len(rows):
        raise DataError(f"{rows!r}: there are no rows to tokenise.")
    told = None
    if len(rows) >= CACHED_FROM:
        template = chat.template
        parts = [FORMAT, rows.fingerprint, chat.tokenizer.fingerprint, template.source]
        parts += [sorted(template.variables.items()), loss_on, too_long]
        parts += [date.today()] if "strftime_now" in template.source else []
        told = repr(parts)
    chunks = _chunks(rows, chat, loss_on, too_long)
    arrays, files = kept_arrays(chunks, TYPES, "conversations", told)
    bounds = np.append(0, np.cumsum(arrays["lengths"]))
    if len(bounds) == 1:
        raise DataError(
            f"{rows!r}: all are longer than {chat.tokenizer.max_length} tokens, even "
            "with their last turn alone. Allow more tokens, or give shorter ones."
        )
    examples = Stretches(
        arrays["ids"],
        bounds[:-1],
        bounds[1:],
        arrays["scored"],
        arrays["rows"],
        tuple(files[name] for name in ("ids", "scored") if files),
    )
    shortened, kept = int(arrays["shortened"].sum()), len(examples)
    return ConversationExamples(examples, shortened, len(rows) - kept, len(rows))


def _chunks(rows, chat, loss_on, too_long):
    faults = []
    with bar("Tokenising", len(rows)) as advance:
        for start in range(0, len(rows), CHUNK):
            stop = min(start + CHUNK, len(rows))
            found, shortened = [], 0
            for i, messages in enumerate(rows.column("messages", start, stop), start):
                try:
                    tokens, scored, cut = _example(messages, chat, loss_on, too_long)
                except DataError as error:
                    faults.append(f"  {rows.where(i)}: {error}")
                    continue
                if tokens is not None and scored[1:].any():
                    found.append((i, tokens.ids, scored))
                    shortened += cut
            numbers, ids, marks = zip(*found, strict=True) if found else ((), (), ())
            yield {
                "ids": np.concatenate([np.zeros(0, "int32"), *ids]),
                "scored": np.concatenate([np.zeros(0, bool), *marks]),
                "lengths": [len(part) for part in ids],
                "rows": numbers,
                "shortened": [shortened],
            }
            advance(stop - start)
    if faults:
        more = f"\n  … and {len(faults) - SHOWN:,} more." if faults[SHOWN:] else ""
        raise DataError(
            f"{len(faults):,} of {len(rows):,} conversations cannot be examples:\n"
            + "\n".join(faults[:SHOWN])
            + more
        )


def _example(messages, chat, loss_on, too_long):
    """Tokens, which count, and whether turns were left out; None: too long."""
    most, cut = chat.tokenizer.max_length, False
    tokens = chat(messages)
    while len(tokens.ids) > most:
        if too_long == "error":
            raise DataError(
                f"a conversation of {len(tokens.ids):,} tokens, expected at most "
                f"{most:,}. Shorten it, or pass too_long='shorten' or 'leave_out'."
            )
        shorter = without_first_turn(messages) if too_long == "shorten" else None
        if shorter is None:
            return None, None, False
        messages, cut = shorter, True
        tokens = chat(messages)
    if loss_on == "all":
        return tokens, np.ones(len(tokens.ids), bool), cut
    spans = chat.template.spans(messages, last=loss_on == "completion").spans
    return tokens, tokens.within(spans), cut


def without_first_turn(messages: list[dict]) -> list[dict] | None:
    """Messages without those before the second of the user, but with the system's.

    None where the user says one thing only.
    """
    first = [i for i, one in enumerate(messages) if one["role"] == "user"]
    if len(first) < 2:
        return None
    gone, rest = messages[: first[1]], messages[first[1] :]
    return [one for one in gone if one["role"] in ("system", "developer")] + rest


def asked_and_answered(messages: list[dict]) -> tuple[list[dict], str | None]:
    """The messages before the assistant's last, and what that one says.

    Where none follows the last words of the user's, these are what is asked: then all
    messages, and None.
    """
    said = [i for i, one in enumerate(messages) if one["role"] == "assistant"]
    if not said or any(one["role"] == "user" for one in messages[said[-1] :]):
        return messages, None
    return messages[: said[-1]], messages[said[-1]]["content"]


def fitting(
    messages: list[dict], chat: ChatTokenizer, most: int
) -> tuple[list[dict] | None, int]:
    """Messages to be answered, without as many first turns as are too much.

    Args:
        messages: of which the last is the user's.
        chat: the tokenizer.
        most: tokens that there is room for.

    Returns:
        The messages, None where the last turn alone is too long; and how many turns
        are left out.
    """
    turns = 0
    while len(chat(messages, add_generation_prompt=True).ids) > most:
        messages, turns = without_first_turn(messages), turns + 1
        if messages is None:
            return None, turns
    return messages, turns
