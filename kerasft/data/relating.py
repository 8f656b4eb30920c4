"""Relation rows to examples: the text with its two mentions marked, and their tokens.

The trap is a text that is too long: what must stay are the mentions, wherever they are.
So the tokens nearest to a mark or a mention are kept, and what is far from both goes.
`kerasft.serving.relation_signatures` does the same in a graph.
"""

from dataclasses import dataclass

import numpy as np

from kerasft._errors import DataError
from kerasft.data.encoding import Examples
from kerasft.data.pieces import Pieces, cut
from kerasft.data.relation_rows import RelationRows, marked
from kerasft.data.tokenizer import Tokenizer
from kerasft.data.windows import frame_of, joined

HEAD, TAIL = 1, 2  # bits of `mention_ids`
POOLINGS = ("marks", "mentions")


@dataclass(frozen=True)
class RelationExamples:
    """Marked texts.

    Args:
        examples: token ids.
        mention_ids: (tokens,) int32, for each of `examples.ids`: 1 where it stands for
            the head, 2 for the tail, 3 for both, else 0.
        shortened: how many texts were longer than the model takes.
    """

    examples: Examples
    mention_ids: np.ndarray
    shortened: int


def relation_examples(
    rows: RelationRows, tokenizer: Tokenizer, pooling: str = "marks"
) -> RelationExamples:
    """Mark the mentions and cut the texts into tokens.

    Args:
        rows: texts with head and tail.
        tokenizer: of the checkpoint.
        pooling: which tokens stand for a mention: "marks", the mark before it alone; or
            "mentions", all from that mark to the one after it.

    Raises:
        DataError: there are no rows.
    """
    if not len(rows):
        raise DataError(f"{rows!r}: there are no rows to tokenise.")
    columns = (rows.column(name) for name in ("text", "head", "tail"))
    texts, places = zip(*map(marked, *columns), strict=True)
    pieces = cut(tokenizer, texts)
    frame = frame_of(tokenizer)
    room = tokenizer.max_length - frame.size
    before, after = (np.zeros(len(gap), "int32") for gap in frame.ids)
    kept, flags, shortened = [], [], 0
    for i, marks in enumerate(places):
        distances, mentions = _around(pieces, i, marks, pooling)
        chosen = np.sort(np.argsort(distances, kind="stable")[:room])
        shortened += len(chosen) < len(distances)
        kept.append((pieces.ids[pieces.of(i)][chosen],))
        flags += [before, mentions[chosen], after]
    return RelationExamples(
        joined(kept, frame), np.concatenate(flags).astype("int32"), shortened
    )


def _around(pieces: Pieces, i, marks, pooling):
    """Of each token of text `i` how far it is from what must stay, and its mention id.

    Marks before mentions are at -1, mentions with their marks at 0.
    """
    ends = pieces.ends[pieces.of(i)]
    # The token a mark is in: the first that ends after it.
    first, last, other, end = np.argmax(ends > marks[:, None], axis=1)
    places = np.arange(len(ends))
    distances = np.minimum(_beside(places, first, last), _beside(places, other, end))
    distances[[first, other]] = -1
    mentions = np.zeros(len(ends), "int32")
    if pooling == "marks":
        last, end = first, other
    mentions[first : last + 1] |= HEAD
    mentions[other : end + 1] |= TAIL
    return distances, mentions


def _beside(places, first, last):
    """How far each place is outside of `first` to `last`."""
    return np.maximum(0, np.maximum(first - places, places - last))
