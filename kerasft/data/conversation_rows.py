"""Conversations: who says what, turn by turn; read from the formats in use.

Four kinds of rows, told by their keys: `messages` of role and content; ShareGPT's
`conversations` of from and value; Alpaca's `instruction`, `input` and `output`; pairs
of `prompt` and `completion`. All become messages of the roles system, user, assistant
and tool. Alpaca's input follows its instruction after a blank line.

The trap: what an assistant says by calling a tool is no text, so such rows are refused
rather than read without it.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from kerasft._errors import DataError
from kerasft.data.faults import BadValue, Source, shown
from kerasft.data.intake import ROWS_PER_BLOCK, Paths, files
from kerasft.data.jsonl import parse_array, parse_object
from kerasft.data.labels import text_of
from kerasft.data.table_rows import TableRows, gather_table, json_lines
from kerasft.data.textfile import read_blocks

ROLES = ("system", "developer", "user", "assistant", "tool")
MESSAGE = pa.struct([("role", pa.large_string()), ("content", pa.large_string())])
TYPES = {"messages": pa.large_list(MESSAGE)}
SHAREGPT = {"human": "user", "gpt": "assistant", "chatgpt": "assistant"}
SHAREGPT |= {"bing": "assistant", "bard": "assistant", "model": "assistant"}
SHAREGPT |= {"observation": "tool", "function_response": "tool"}
SHAREGPT |= {role: role for role in ROLES}
# Kind -> the keys it has, and those it may have.
KINDS = {
    "messages": (("messages",), ()),
    "sharegpt": (("conversations",), ("system",)),
    "alpaca": (("instruction", "output"), ("input", "system")),
    "pairs": (("prompt", "completion"), ("system",)),
}


@dataclass(frozen=True, eq=False, repr=False, kw_only=True)
class Conversations(TableRows):
    """Conversations; made by the readers, never by hand. Their column is messages."""

    def __repr__(self):
        return f"Conversations({len(self):,})"

    def __getitem__(self, i: int) -> dict:
        """Row `i`: its `messages`."""
        return {"messages": self.messages(i)}

    def messages(self, i: int) -> list[dict]:
        """Role and content of each message of row `i`."""
        return self.cells(i, ("messages",))["messages"]

    @property
    def label_type(self) -> str:
        """Always "none": what is to be learned stands in the conversation."""
        return "none"

    def texts(self, start: int = 0, stop: int | None = None) -> list[str]:
        """Rows `start` to `stop`, without the latter, each as one text for people."""
        return [
            "\n".join(f"{one['role']}: {one['content']}" for one in messages)
            for messages in self.column("messages", start, stop)
        ]


def read_conversations(  # noqa: PLR0913 - each named by the user
    path: Paths,
    *,
    prompt: str | None = None,
    completion: str | None = None,
    answers: bool = True,
    encoding: str = "utf-8",
    on_bad_rows: str = "error",
) -> Conversations:
    """Read conversations, instructions or pairs of prompt and completion.

    Args:
        path: one file, or several that make one corpus: `.parquet`; `.json` with one
            list of objects; all others hold one JSON object a line. Rows may have
            `messages`, `conversations`, `instruction` and `output`, or `prompt` and
            `completion`.
        prompt, completion: other names for these two.
        answers: whether each row must hold words of the assistant; False for prompts
            that are to be answered.
        encoding: as Python names it; it is never guessed.
        on_bad_rows: "error" stops with the list of bad rows; "skip" leaves them out and
            writes them to `rejected.csv` beside the first file.

    Raises:
        DataError: bad rows, by file and line (in Parquet and lists, from 0).

    Sources: Taori et al. 2023, "Stanford Alpaca"; Chiang et al. 2023, "Vicuna", for the
    rows of ShareGPT.
    """
    kinds = _kinds(prompt, completion)
    sources = tuple(
        Source(name, indexed=Path(name).suffix in (".json", ".parquet"))
        for name in files(path)
    )
    rows = _rows(sources, kinds, encoding)
    return _gathered(rows, kinds, answers, sources, on_bad_rows)


def from_conversations(
    conversations: Sequence, *, answers: bool = True
) -> Conversations:
    """Rows from a list.

    Args:
        conversations: lists of messages, {"role": ..., "content": ...}, or dicts of any
            kind that `read_conversations` takes.
        answers: as of `read_conversations`.

    Raises:
        DataError: bad rows, by their number.
    """
    rows = (
        (0, i, {"messages": one} if isinstance(one, list | tuple) else one)
        for i, one in enumerate(conversations)
    )
    source = (Source("conversations", indexed=True),)
    return _gathered(rows, _kinds(None, None), answers, source)


def _kinds(prompt, completion):
    pair = (prompt or "prompt", completion or "completion")
    if prompt is None and completion is None:
        return KINDS
    return {"pairs": (pair, ("system",))}


def _gathered(rows, kinds, answers, sources, on_bad_rows="error"):
    def parse(raw):
        if isinstance(raw, BadValue):
            raise raw
        row = parse_object(raw) if isinstance(raw, str) else raw
        return {"messages": _checked(_messages(row, kinds), answers)}

    table, rejected = gather_table(rows, parse, TYPES, sources, on_bad_rows)
    return Conversations(table=table, sources=sources, rejected=rejected)


def _rows(sources, kinds, encoding) -> Iterator[tuple[int, int, object]]:
    for number, source in enumerate(sources):
        suffix = Path(source.name).suffix
        if suffix == ".parquet":
            found = enumerate(_parquet(source.name, kinds))
        elif suffix == ".json":
            found = enumerate(_array(source.name, encoding))
        else:
            found = ((line, raw) for _, line, raw in json_lines([source], encoding))
        yield from ((number, line, raw) for line, raw in found)


def _parquet(path, kinds):
    known = {key for keys, more in kinds.values() for key in (*keys, *more)}
    try:
        with pq.ParquetFile(path) as file:
            names = [name for name in file.schema_arrow.names if name in known]
            for batch in file.iter_batches(ROWS_PER_BLOCK, columns=names):
                yield from batch.to_pylist()
    except (pa.ArrowInvalid, OSError) as error:
        raise DataError(f"Cannot read {path} as Parquet: {error}") from error


def _array(path, encoding):
    """The items of a list; a `BadValue` where the file holds none."""
    try:
        return parse_array("".join(read_blocks(path, encoding)))
    except BadValue as error:
        place = f" at character {error.column:,}" if error.column else ""
        return [BadValue(error.found + place, error.expected, error.fix)]


def _messages(row, kinds):
    """Role and content of each message of a row of some kind."""
    if not isinstance(row, Mapping):
        raise BadValue(shown(row), "an object of messages, or of prompt and completion")
    there = {key for key, value in row.items() if value is not None}
    fitting = [kind for kind, (keys, _) in kinds.items() if set(keys) <= there]
    if len(fitting) != 1:
        keys = "; ".join(" and ".join(keys) for keys, _ in kinds.values())
        found = ", ".join(map(shown, row)) or "none"
        raise BadValue(f"the keys {found}", f"those of one kind: {keys}")
    (kind,) = fitting
    keys, _ = kinds[kind]
    system = [("system", row["system"])] if row.get("system") else []
    if kind == "messages":
        return [_message(one, "role", "content", None) for one in _list(row[keys[0]])]
    if kind == "sharegpt":
        said = _list(row[keys[0]])
        return system + [_message(one, "from", "value", SHAREGPT) for one in said]
    asked, answer = (row[key] for key in keys)
    if kind == "alpaca" and row.get("input"):
        parts = [text_of(asked, keys[0]), text_of(row["input"], "input")]
        asked = "\n\n".join(parts)
    return [*system, ("user", asked), ("assistant", answer)]


def _list(value):
    if not isinstance(value, list | tuple):
        raise BadValue(f"the messages {shown(value)}", "a list of them")
    return value


def _message(one, role, content, roles):
    """Role and content of a message, under the names `role` and `content`."""
    if not isinstance(one, Mapping) or role not in one or content not in one:
        told = f"the keys {', '.join(map(shown, one))}" if one else "nothing"
        raise BadValue(
            told if isinstance(one, Mapping) else f"the message {shown(one)}",
            f"a message of {role} and {content}",
        )
    for key in ("tool_calls", "function_call"):
        if one.get(key):
            raise BadValue(f"a message with {key}", "messages of text alone")
    if roles is None:
        return one[role], one[content]
    if one[role] not in roles:
        known = ", ".join(roles)
        raise BadValue(f"a message from {shown(one[role])}", f"from one of {known}")
    return roles[one[role]], one[content]


def _checked(messages, answers):
    """Messages as dicts; each a text of a known role."""
    for role, content in messages:
        if role not in ROLES:
            raise BadValue(f"the role {shown(role)}", f"one of {', '.join(ROLES)}")
        text_of(content, f"content of {role}")
        if role == "assistant" and not content.strip():
            raise BadValue("a blank message of the assistant", "some text")
    said = [role for role, _ in messages if role not in ("system", "developer")]
    if not said or said[0] != "user":
        found = f"a conversation that begins with {said[0]}" if said else "no messages"
        raise BadValue(found, "one that begins with the user, after a system message")
    if answers and "assistant" not in said:
        fix = "Pass answers=False for prompts that are to be answered."
        raise BadValue("no message of the assistant", "one at least", fix)
    return [{"role": role, "content": content} for role, content in messages]
