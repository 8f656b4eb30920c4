"""Rows of a text and several ways to go on or to answer, one of which is right."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from kerasft.data.faults import BadValue, Source, shown
from kerasft.data.intake import Paths, files
from kerasft.data.jsonl import parse_object, pick
from kerasft.data.labels import text_of
from kerasft.data.table_rows import TableRows, gather_table, json_lines, listed

TYPES = {
    "context": pa.large_string(),
    "question": pa.large_string(),
    "choices": pa.large_list(pa.large_string()),
    "label": pa.int32(),
}
LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"


@dataclass(frozen=True, eq=False, repr=False, kw_only=True)
class ChoiceRows(TableRows):
    """Texts with two choices or more; made by the readers, never by hand.

    Columns: context, question (or None), choices and, with `has_labels`, label: the
    number of the right one, from 0.
    """

    has_labels: bool

    def __repr__(self):
        labels = "" if self.has_labels else ", without labels"
        return f"ChoiceRows({len(self):,} rows{labels})"

    def __getitem__(self, i: int) -> dict:
        """Row `i`: context, question (if it has one), choices and label."""
        names = ("context", "question", "choices", "label")[: 3 + self.has_labels]
        row = self.cells(i, names)
        return {name: value for name, value in row.items() if value is not None}

    @property
    def label_type(self) -> str:
        """Either "choice" or "none"."""
        return "choice" if self.has_labels else "none"

    def texts(self, start: int = 0, stop: int | None = None) -> list[str]:
        """Texts of rows `start` to `stop` - 1, each with question and choices."""
        names = ("context", "question", "choices")
        columns = (self.column(name, start, stop) for name in names)
        return [
            " ⟷ ".join([context, *([question] if question else []), *choices])
            for context, question, choices in zip(*columns, strict=True)
        ]


def read_choices_jsonl(  # noqa: PLR0913 - the keys, each named by the user
    path: Paths,
    context: str,
    choices: str | Sequence[str],
    label: str | None = None,
    question: str | None = None,
    *,
    encoding: str = "utf-8",
    on_bad_rows: str = "error",
) -> ChoiceRows:
    """Read one JSON object a line, such as the rows of SWAG or RACE.

    Args:
        path: one file, or several that make one corpus.
        context: key of the text: RACE's "article", SWAG's "sent1".
        choices: key of the list of choices, or several keys of one choice each. Rows
            may have different numbers of them, two at least.
        label: key of the right one: its number from 0, or its letter from "A"; None:
            there are no labels.
        question: key of a question, or of how each choice begins, such as SWAG's
            "sent2"; None: there is none.
        encoding: as Python names it; it is never guessed.
        on_bad_rows: "error" stops with the list of bad rows; "skip" leaves them out and
            writes them to `rejected.csv` beside the first file.

    Raises:
        DataError: bad rows.

    Sources: Zellers et al. 2018 (arXiv:1808.05326) and Lai et al. 2017
    (arXiv:1704.04683), for the two kinds of rows.
    """
    several = [choices] if isinstance(choices, str) else list(choices)
    others = [key for key in (context, question, label) if key is not None]

    def parse(raw):
        row = parse_object(raw)
        picked = pick(row, (*others, *several))
        given = dict(zip(others, picked, strict=False))
        found = picked[len(others) :]
        return choice_row(
            given[context],
            found[0] if isinstance(choices, str) else found,
            given.get(label),
            given.get(question),
            label is not None,
        )

    sources = tuple(map(Source, files(path)))
    lines = json_lines(sources, encoding)
    return _gathered(lines, parse, label is not None, sources, on_bad_rows)


def from_choices(
    contexts: Sequence[str],
    choices: Sequence[Sequence[str]],
    labels: Sequence | None = None,
    questions: Sequence[str] | None = None,
) -> ChoiceRows:
    """Rows from lists of one length.

    Args:
        contexts: texts.
        choices: of each a list of two texts or more.
        labels: of each the number of the right one, from 0, or its letter.
        questions: of each a question, which stands before each choice.

    Raises:
        DataError: lists of different lengths; bad values.
    """
    labelled = labels is not None
    return _gathered(
        listed([contexts, choices, labels, questions]),
        lambda row: choice_row(*row, labelled),
        labelled,
        (Source("choices", indexed=True),),
    )


def choices_of(rows: Sequence[dict]) -> ChoiceRows:
    """Rows without labels from dicts of context, choices and, where wanted, question.

    Raises:
        DataError: a dict lacks one, or has another value there.
    """

    def parse(row):
        context, choices = pick(row, ("context", "choices"))
        return choice_row(context, choices, None, row.get("question"))

    source = (Source("choices", indexed=True),)
    return _gathered(((0, i, row) for i, row in enumerate(rows)), parse, False, source)


def _gathered(rows, parse, has_labels, sources, on_bad_rows="error"):
    names = tuple(TYPES)[: 3 + has_labels]
    types = {name: TYPES[name] for name in names}
    table, rejected = gather_table(rows, parse, types, sources, on_bad_rows)
    return ChoiceRows(
        table=table, sources=sources, rejected=rejected, has_labels=has_labels
    )


def choice_row(context, choices, label=None, question=None, labelled=False) -> dict:
    """One row, checked.

    Raises:
        BadValue: something else than texts, two choices and one of their numbers.
    """
    if not isinstance(choices, list | tuple | np.ndarray) or len(choices) < 2:
        raise BadValue(f"the choices {shown(choices)}", "a list of two texts or more")
    texts = [text_of(choice, "choices") for choice in choices]
    if not all(text.strip() for text in texts):
        raise BadValue(f"a blank choice in {shown(texts)}", "some text")
    return {
        "context": text_of(context, "context"),
        "question": None if question is None else text_of(question, "question"),
        "choices": texts,
        "label": _number(label, len(texts)) if labelled else None,
    }


def _number(label, count):
    number = LETTERS.find(label) if label in tuple(LETTERS) else label
    whole = isinstance(number, int | np.integer) and not isinstance(number, bool)
    if not whole or not 0 <= number < count:
        letters = f', or "A" to "{LETTERS[count - 1]}"' if count <= len(LETTERS) else ""
        raise BadValue(
            f"the label {shown(label)}", f"a number from 0 to {count - 1}{letters}"
        )
    return int(number)
