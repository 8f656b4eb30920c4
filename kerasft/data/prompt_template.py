"""Prompts from a template file: an introduction, some examples, then the question.

A file has parts, each under a line with its name; `{field}` is a value of a row:

    [introduction]
    Is a review good or bad?
    [example]
    Review: {text}
    Mood: {label}
    [question]
    Review: {text}
    Mood:

Introduction and example may be left out. `{{` and `}}` are braces. The trap: values are
put in as they are and never looked at again, so a row that holds "{label}" says just
that.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from kerasft._errors import DataError

PARTS = ("introduction", "example", "question")
HEADING = re.compile(r"^\[([^\[\]]*)\][ \t]*\n?", re.MULTILINE)
FIELD = re.compile(r"\{\{|\}\}|\{(\w+)\}|[{}]")


@dataclass(frozen=True)
class PromptTemplate:
    """Makes prompts of rows.

    Args:
        question: the text that is to be gone on with, with `{field}` for values.
        example: a text that has the answer, too.
        introduction: stands before all else.
        between: stands between two parts.

    Raises:
        DataError: braces that are no field, all of them told; a blank question.
    """

    question: str
    example: str = ""
    introduction: str = ""
    between: str = "\n\n"

    def __post_init__(self):
        problems = [
            f"{name}: {match[0]!r} at character {match.start() + 1} is no {{field}}"
            for name in PARTS
            for match in FIELD.finditer(getattr(self, name))
            if match[0] in ("{", "}")
        ]
        if not self.question.strip():
            problems.append("question: is blank")
        if self.fields("introduction"):
            problems.append("introduction: has fields, but belongs to no row")
        if problems:
            told = "; ".join(problems)
            raise DataError(f"{told}. Braces themselves are written {{{{ and }}}}.")

    @classmethod
    def from_file(cls, path: str | Path, encoding: str = "utf-8") -> "PromptTemplate":
        """Read a template.

        Args:
            path: of the file.
            encoding: as Python names it.

        Raises:
            DataError: no such file, unknown or repeated parts, no question, braces that
                are no field.
        """
        try:
            text = Path(path).expanduser().read_text(encoding)  # Ends as \n.
        except (OSError, UnicodeDecodeError, LookupError) as error:
            raise DataError(f"Cannot read {path}: {error}.") from error
        try:
            return cls(**_parts(text))
        except DataError as error:
            raise DataError(f"{path}: {error}") from error

    def fields(self, part: str = "question") -> tuple[str, ...]:
        """Names of the fields of a part, in order, each once."""
        found = (match[1] for match in FIELD.finditer(getattr(self, part)))
        return tuple(dict.fromkeys(name for name in found if name))

    def prompt(self, row: Mapping, examples: Sequence[Mapping] = ()) -> str:
        """The prompt of a row: zero-shot without examples, else few-shot.

        Args:
            row: field -> value of the question; others are not looked at.
            examples: field -> value of each example, answer included.

        Raises:
            DataError: fields that the row or an example lacks, all of them told;
                examples for a template without one.
        """
        if len(examples) and not self.example:
            raise DataError("The template has no [example], but examples are given.")
        problems = self._lacking("question", row, "The row")
        for i, one in enumerate(examples):
            problems += self._lacking("example", one, f"Example {i}")
        if problems:
            raise DataError("\n".join(problems))
        parts = [_filled(self.introduction, {})] if self.introduction else []
        parts += [_filled(self.example, one) for one in examples]
        return self.between.join([*parts, _filled(self.question, row)])

    def _lacking(self, part, row, what):
        """What is wrong with a row, in a list of one sentence or none."""
        lacking = [name for name in self.fields(part) if row.get(name) is None]
        if not lacking:
            return []
        told = ", ".join(map(str, row)) or "none"
        return [f"{what} lacks {', '.join(lacking)} of [{part}]; its fields: {told}."]


def _parts(text):
    """Name -> text of each part of a file, without the line end before the next.

    Raises:
        DataError: what is no part, all of it told.
    """
    found, problems = {}, []
    headings = list(HEADING.finditer(text))
    before = text[: headings[0].start()] if headings else text
    if before.strip():
        problems.append(f"{before.strip()[:40]!r} stands under no [name] of a part")
    ends = [match.start() for match in headings[1:]] + [len(text)]
    for match, end in zip(headings, ends, strict=False):  # One end without headings.
        name = match[1]
        if name not in PARTS:
            problems.append(f"[{name}] is no part")
        elif name in found:
            problems.append(f"[{name}] stands there twice")
        found[name] = text[match.end() : end].rstrip("\n")
    if "question" not in found:
        problems.append("there is no [question]")
    if problems:
        known = ", ".join(f"[{name}]" for name in PARTS)
        raise DataError(f"{'; '.join(problems)}. Parts are: {known}.")
    return found


def _filled(text, row):
    def value(match):
        if match[1] is None:
            return match[0][0]
        return str(row[match[1]])

    return FIELD.sub(value, text)
