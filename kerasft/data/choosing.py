"""Rows of choices to examples: of each row one for each choice.

The first text is the context, the second the choice, after the question if there is
one. What is too long is cut from the end of the context, so that the choice stays
whole; only where the second text alone is too long, it loses its beginning.

Sources: Devlin et al. 2018 (arXiv:1810.04805), section 4.4; Lai et al. 2017
(arXiv:1704.04683).
"""

from dataclasses import dataclass

import numpy as np

from kerasft._errors import DataError
from kerasft.data.choice_rows import ChoiceRows
from kerasft.data.encoding import Examples
from kerasft.data.pieces import cut, cut_once
from kerasft.data.text_columns import TextColumns
from kerasft.data.tokenizer import Tokenizer
from kerasft.data.windows import frame_of, joined


@dataclass(frozen=True)
class ChoiceExamples:
    """The choices of rows, as columns of examples.

    Args:
        examples: a column for each choice that any row has.
        counts: (rows,) how many choices each has.
        shortened: how many examples were cut.
    """

    examples: TextColumns
    counts: np.ndarray
    shortened: int


def choice_examples(rows: ChoiceRows, tokenizer: Tokenizer) -> ChoiceExamples:
    """Tokenise rows; each different context once.

    Raises:
        DataError: there are no rows.
    """
    if not len(rows):
        raise DataError(f"{rows!r}: there are no rows to tokenise.")
    frame = frame_of(tokenizer, pair=True)
    room = tokenizer.max_length - frame.size
    choices, questions = rows.column("choices"), rows.column("question")
    _, contexts, which = cut_once(tokenizer, rows.column("context"))
    seconds = cut(
        tokenizer,
        [
            f"{question} {choice}" if question else choice
            for question, some in zip(questions, choices, strict=True)
            for choice in some
        ],
    )
    counts = np.array([len(some) for some in choices])
    bounds = np.cumsum(counts) - counts
    columns, shortened = [], 0
    for place in range(counts.max()):
        present = np.flatnonzero(counts > place)
        texts = []
        for i in present:
            first = contexts.ids[contexts.of(which[i])]
            second = seconds.ids[seconds.of(bounds[i] + place)]
            shortened += len(first) + len(second) > room
            second = second[-room:]
            texts.append((first[: room - len(second)], second))
        columns.append(_among(joined(texts, frame), present, len(rows)))
    return ChoiceExamples(TextColumns(tuple(columns)), counts, shortened)


def _among(examples, places, total):
    """The same examples at these places of a longer list, and empty ones elsewhere."""
    lengths, seconds = np.zeros((2, total), "int32")
    lengths[places], seconds[places] = examples.lengths, examples.second_starts
    return Examples(examples.ids, lengths, seconds, examples.truncated)
