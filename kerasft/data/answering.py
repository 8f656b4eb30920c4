"""Questions and their contexts to examples, with the tokens where an answer lies.

The window is cut from the context; the question stands whole before each, as long as it
leaves half of the room. Where a window does not hold a whole accepted answer, the label
is the first token, twice: "not here".

Source: Devlin et al. 2018 (arXiv:1810.04805), section 4.2, for the examples and "no
answer"; the windows are those of `transformers`' tokenizers (`stride`).
"""

from dataclasses import dataclass

import numpy as np

from kerasft._errors import DataError
from kerasft.data.encoding import Examples
from kerasft.data.pieces import cut, cut_once, without_spaces
from kerasft.data.question_rows import QuestionRows
from kerasft.data.tokenizer import Tokenizer
from kerasft.data.windows import frame_of, joined, overlap_of, windows

IGNORED = -100


@dataclass(frozen=True)
class QuestionExamples:
    """Windows of contexts, each after its question.

    Args:
        examples: token ids.
        labels: (examples, 2) int32: first and last token of the answer; (0, 0) where
            the window does not hold it; -100 where no token does. None without answers.
        rows: (examples,) the row of each.
        spans: (examples, 2) where the context's tokens begin and end in each.
        characters: of each example int32 (context tokens, 2): first character of each
            token and the one after its last; equal where it has none.
        cut_questions: how many questions were cut.
    """

    examples: Examples
    labels: np.ndarray | None
    rows: np.ndarray
    spans: np.ndarray
    characters: list[np.ndarray]
    cut_questions: int


def question_examples(
    rows: QuestionRows, tokenizer: Tokenizer, overlap: int | None = None
) -> QuestionExamples:
    """Cut rows into examples.

    A question that would leave the context less than half of the room is cut at its
    end, to half of it; but not if the whole context fits beside more of it.

    Args:
        rows: questions.
        tokenizer: of the checkpoint.
        overlap: tokens of the context that neighbouring windows share; None: a quarter
            of what a window holds of it.

    Raises:
        DataError: there are no rows.
        SettingsError: windows might not move on.
    """
    if not len(rows):
        raise DataError(f"{rows!r}: there are no rows to tokenise.")
    frame = frame_of(tokenizer, pair=True)
    room = tokenizer.max_length - frame.size
    overlap_of(overlap, room - room // 2)  # Windows of less hold the whole context.
    questions = cut(tokenizer, rows.column("question"))
    contexts, which = _contexts(rows, tokenizer)
    answers = rows.column("answers") if rows.has_labels else [[]] * len(rows)
    texts, owners, spans, characters, labels, cut_questions = [], [], [], [], [], 0
    for i, (number, accepted) in enumerate(zip(which, answers, strict=True)):
        ids, places = contexts[number]
        question = questions.ids[questions.of(i)]
        kept = question[: min(room - 1, max(room // 2, room - len(ids)))]
        cut_questions += len(kept) < len(question)
        begin = len(frame.ids[0]) + len(kept) + len(frame.ids[1])
        left = room - len(kept)
        share = left // 4 if overlap is None else min(overlap, left - 1)
        found = _tokens_of(accepted, places)
        for start, stop in windows(len(ids), left, share):
            texts.append((kept, ids[start:stop]))
            owners.append(i)
            spans.append((begin, begin + stop - start))
            characters.append(places[start:stop])
            label = _label(found, start, stop, begin)
            labels.append((IGNORED,) * 2 if accepted and not found else label)
    return QuestionExamples(
        joined(texts, frame),
        np.array(labels, "int32") if rows.has_labels else None,
        np.array(owners, "int32"),
        np.array(spans, "int32"),
        characters,
        cut_questions,
    )


def _contexts(rows, tokenizer):
    """Ids and characters of each different context, and which one each row has."""
    texts, pieces, which = cut_once(tokenizer, rows.column("context"))
    parts = []
    for i, text in enumerate(texts):
        here = pieces.of(i)
        bare = without_spaces(text, pieces.starts[here], pieces.ends[here])
        parts.append((pieces.ids[here], np.stack(bare, axis=-1)))
    return parts, which


def _tokens_of(accepted, characters):
    """First and last token of each accepted answer that has tokens."""
    starts, ends = characters.T
    found = []
    for answer in accepted:
        begin, end = answer["start"], answer["start"] + len(answer["text"])
        places = np.flatnonzero((starts < end) & (ends > begin) & (starts < ends))
        if len(places):
            found.append((places[0], places[-1]))
    return found


def _label(found, start, stop, begin):
    """Where the window has the first answer that it holds whole; else (0, 0)."""
    for first, last in found:
        if start <= first and last < stop:
            return (begin + first - start, begin + last - start)
    return (0, 0)
