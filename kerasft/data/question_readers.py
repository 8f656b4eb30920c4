"""Read questions with their contexts: SQuAD's JSON, JSON lines, Python lists.

Every reader gives `QuestionRows`, or one `DataError` that lists what is wrong, and
where. An answer must stand, to the letter, at its start in the context.

Sources: Rajpurkar et al. 2016 (arXiv:1606.05250) and Rajpurkar, Jia & Liang 2018
(arXiv:1806.03822), for versions 1.1 and 2.0 of SQuAD.
"""

from collections.abc import Sequence

from kerasft._errors import SettingsError
from kerasft.data.faults import BadValue, Source, shown
from kerasft.data.intake import Paths, files
from kerasft.data.jsonl import parse_object, pick
from kerasft.data.question_rows import QuestionRows, gather_questions, question_row
from kerasft.data.table_rows import json_lines, listed
from kerasft.data.textfile import read_blocks

LEVELS = ("data", "paragraphs", "qas")


def read_squad(
    path: Paths,
    *,
    answers: bool = True,
    encoding: str = "utf-8",
    on_bad_rows: str = "error",
) -> QuestionRows:
    """Read SQuAD's nested JSON, version 1.1 or 2.0.

    All accepted answers are kept; `is_impossible` must agree with them. Titles and
    plausible answers are left out.

    Args:
        path: one file, or several that make one corpus.
        answers: False: the questions alone, as of a test set.
        encoding: as Python names it; it is never guessed.
        on_bad_rows: "error" stops with the list of bad questions; "skip" leaves them
            out and writes them to `rejected.csv` beside the first file.

    Raises:
        DataError: bad rows, by their number in the file, their place and their id.
    """

    def rows():
        for number, source in enumerate(sources):
            content = _content(source.name, encoding)
            for count, question in enumerate(_questions(content)):
                yield number, count, question

    def parse(raw):
        place, context, question = raw
        try:
            if isinstance(question, BadValue):
                raise question
            return _squad_row(context, question, answers)
        except BadValue as error:
            name = question.get("id") if isinstance(question, dict) else None
            where = ", ".join([place] * bool(place) + [f"id {name}"] * bool(name))
            found = f"{error.found} ({where})" if where else error.found
            raise BadValue(found, error.expected, error.fix) from error

    sources = tuple(Source(name, indexed=True) for name in files(path))
    return gather_questions(rows(), parse, answers, sources, on_bad_rows)


def read_questions_jsonl(  # noqa: PLR0913 - the keys, each named by the user
    path: Paths,
    question: str,
    context: str,
    answer: str | None = None,
    start: str | None = None,
    *,
    encoding: str = "utf-8",
    on_bad_rows: str = "error",
) -> QuestionRows:
    """Read one JSON object a line.

    Args:
        path: one file, or several that make one corpus.
        question: key of the question.
        context: key of the text that it is about.
        answer: key of the answer's text, or of a list of accepted ones; null, "" or []:
            there is no answer. Without `start` objects of text and start, or of the
            lists text and answer_start, as `datasets` has them. None: no answers.
        start: key of the answer's first character in the context, or of a list.
        encoding: as Python names it; it is never guessed.
        on_bad_rows: as in `read_squad`.

    Raises:
        DataError: bad rows.
        SettingsError: `start` without `answer`.
    """
    if start is not None and answer is None:
        raise SettingsError("start says where an answer stands: pass answer as well.")
    keys = tuple(key for key in (question, context, answer, start) if key is not None)

    def parse(raw):
        asked, about, *answered = pick(parse_object(raw), keys)
        return question_row(asked, about, _plain_answers(*answered))

    sources = tuple(map(Source, files(path)))
    lines = json_lines(sources, encoding)
    return gather_questions(lines, parse, answer is not None, sources, on_bad_rows)


def from_questions(
    questions: Sequence[str], contexts: Sequence[str], answers: Sequence | None = None
) -> QuestionRows:
    """Rows from lists of one length.

    Args:
        questions: texts.
        contexts: the text that each is about.
        answers: of each {"text", "start"}, or a list of all that are accepted, or []
            where there is none; `datasets`' {"text": [...], "answer_start": [...]} too.

    Raises:
        DataError: lists of different lengths; bad values.
    """
    given = [questions, contexts, *([] if answers is None else [answers])]
    return gather_questions(
        listed(given),
        lambda row: question_row(*row),
        answers is not None,
        (Source("questions", indexed=True),),
    )


def questions_of(rows: Sequence[dict]) -> QuestionRows:
    """Rows without answers from dicts of question and context.

    Raises:
        DataError: a dict lacks one, or has another value there than text.
    """
    return gather_questions(
        ((0, i, row) for i, row in enumerate(rows)),
        lambda row: question_row(*pick(row, ("question", "context"))),
        False,
        (Source("questions", indexed=True),),
    )


def _plain_answers(answer=None, start=None):
    """The answers of a line as `question_row` takes them."""
    if answer is None or answer == "" or answer == []:
        return []
    if start is None:
        return answer
    several = isinstance(answer, list), isinstance(start, list)
    if any(several) and (not all(several) or len(answer) != len(start)):
        raise BadValue(
            f"the answers {shown(answer)} and the starts {shown(start)}",
            "a start for each answer",
        )
    return {"text": answer, "start": start}


def _content(path, encoding):
    """What the file holds; a `BadValue` where that is no JSON object."""
    try:
        return parse_object("".join(read_blocks(path, encoding)))
    except BadValue as error:
        place = f" at character {error.column:,}" if error.column else ""
        return BadValue(error.found + place, error.expected, error.fix)


def _questions(node, levels=LEVELS, place="", context=None):
    """Place, context and JSON of each question below a node; `BadValue` where none."""
    if isinstance(node, BadValue) or not levels:
        yield place, context, node
        return
    name, *below = levels
    children = node.get(name) if isinstance(node, dict) else None
    if not isinstance(children, list):
        found = (
            f"the keys {shown(list(node))}" if isinstance(node, dict) else shown(node)
        )
        yield place, None, BadValue(found, f"an object with a list {name!r}")
        return
    for i, child in enumerate(children):
        here = f"{place}.{name}[{i}]".lstrip(".")
        yield from _questions(child, below, here, node.get("context"))


def _squad_row(context, question, answered):
    names = ("question", "answers") if answered else ("question",)
    asked, *answers = pick(question, names)
    impossible = question.get("is_impossible")
    if answered and impossible is not None and impossible is not (not answers[0]):
        raise BadValue(
            f"is_impossible {shown(impossible)} beside the answers {shown(answers[0])}",
            "true where there are none, else false",
        )
    name = question.get("id")
    return question_row(
        asked, context, *answers, name=None if name is None else str(name)
    )
