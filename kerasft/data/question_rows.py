"""Questions about texts, with the accepted answers and where they stand; row by row."""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from kerasft.data.faults import BadValue, shown
from kerasft.data.labels import text_of
from kerasft.data.table_rows import TableRows, gather_table

ANSWER = pa.struct([("text", pa.large_string()), ("start", pa.int32())])
TYPES = {
    "id": pa.large_string(),
    "question": pa.large_string(),
    "context": pa.large_string(),
    "answers": pa.large_list(ANSWER),
}


@dataclass(frozen=True, eq=False, repr=False, kw_only=True)
class QuestionRows(TableRows):
    """Questions with their contexts; made by the readers, never by hand.

    Columns: id (or None), question, context and, with `has_labels`, answers: a list of
    text and start (character in the context), empty where there is no answer.
    """

    has_labels: bool

    def __repr__(self):
        labels = "" if self.has_labels else ", without answers"
        return f"QuestionRows({len(self):,} questions{labels})"

    def __getitem__(self, i: int) -> dict:
        """Row `i`: id (if it has one), question, context and answers."""
        names = ("id", "question", "context", "answers")[: 3 + self.has_labels]
        row = self.cells(i, names)
        return {name: value for name, value in row.items() if value is not None}

    @property
    def label_type(self) -> str:
        """Either "answers" or "none"."""
        return "answers" if self.has_labels else "none"

    def texts(self, start: int = 0, stop: int | None = None) -> list[str]:
        """Questions of rows `start` to `stop` - 1, each with its context."""
        columns = (self.column(name, start, stop) for name in ("question", "context"))
        return [f"{one} ⟷ {other}" for one, other in zip(*columns, strict=True)]

    @property
    def accepted(self) -> list[list[str]]:
        """The texts of each row's answers."""
        return [[one["text"] for one in some] for some in self.column("answers")]


def gather_questions(rows, parse, has_labels, sources, on_bad_rows="error"):
    """`QuestionRows` of (source, line, raw) where `parse` makes a `question_row`."""
    names = ("id", "question", "context", "answers")[: 3 + has_labels]
    types = {name: TYPES[name] for name in names}
    table, rejected = gather_table(rows, parse, types, sources, on_bad_rows)
    return QuestionRows(
        table=table, sources=sources, rejected=rejected, has_labels=has_labels
    )


def question_row(question, context, answers=(), name=None) -> dict:
    """One row, checked.

    Args:
        question: text.
        context: text.
        answers: an answer or a list of them: {"text", "start"}, or the lists of
            `datasets`: {"text": [...], "answer_start": [...]}; [] or None: none.
        name: its id.

    Raises:
        BadValue: something else; an answer that does not stand at its start.
    """
    question, context = text_of(question, "question"), text_of(context, "context")
    parts = _parts([] if answers is None else answers)
    return {
        "id": name,
        "question": question,
        "context": context,
        "answers": [_answer(text, start, context) for text, start in parts],
    }


def _parts(given):
    """(text, start) of each answer."""
    if isinstance(given, list | tuple):
        return [_part(one) for one in given]
    text, start = _part(given)
    several = [isinstance(value, list | np.ndarray) for value in (text, start)]
    if not any(several):
        return [(text, start)]
    if not all(several) or len(text) != len(start):
        raise BadValue(f"the answers {shown(given)}", "as many texts as starts")
    return list(zip(text, start, strict=True))


def _part(one):
    try:
        return one["text"], one["start"] if "start" in one else one["answer_start"]
    except (KeyError, TypeError) as error:
        raise BadValue(
            f"the answer {shown(one)}",
            "text and start, its first character in the context",
            "Where there is no answer, give [].",
        ) from error


def _answer(text, start, context):
    text = text_of(text, "answer")
    if not text.strip():
        raise BadValue(
            f"the answer {shown(text)}", "some text", "For no answer, give []."
        )
    whole = isinstance(start, int | np.integer) and not isinstance(start, bool)
    if not whole or not 0 <= start < len(context):
        raise BadValue(
            f"the start {shown(start)}",
            f"a character of the context, 0 to below {len(context):,}",
        )
    found = context[start : start + len(text)]
    if found != text:
        elsewhere = context.find(text)
        fix = f"It stands at {elsewhere:,}." if elsewhere >= 0 else ""
        raise BadValue(
            f"{shown(found)} at character {start:,}", f"the answer {shown(text)}", fix
        )
    return {"text": text, "start": int(start)}
