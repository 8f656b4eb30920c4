"""Triple rows to examples: windows of texts, with the triples that lie in each whole.

A triple that lies in no window is lost to training, and counted. One that lies in two
is right in both.
"""

from dataclasses import dataclass

import numpy as np

from kerasft._errors import DataError
from kerasft.data.encoding import Examples
from kerasft.data.faults import did_you_mean
from kerasft.data.pieces import cut, without_spaces
from kerasft.data.tokenizer import Tokenizer
from kerasft.data.triple_rows import TripleRows
from kerasft.data.windows import frame_of, joined, overlap_of, windows


@dataclass(frozen=True)
class TripleExamples:
    """Windows of texts.

    Args:
        examples: token ids.
        triples: (examples, most triples, 5) int32: first and last token of the subject,
            relation, first and last token of the object, tokens of the window, special
            ones counted; -1 fills up. None without labels.
        rows: (examples,) the row of each.
        starts, ends: of each example the characters of its tokens, int32 (tokens,);
            special ones begin and end at -1.
        lost: how many triples lie in no window, or have a mention without a token.
    """

    examples: Examples
    triples: np.ndarray | None
    rows: np.ndarray
    starts: list[np.ndarray]
    ends: list[np.ndarray]
    lost: int


def triple_examples(
    rows: TripleRows,
    tokenizer: Tokenizer,
    names: tuple[str, ...],
    overlap: int | None = None,
) -> TripleExamples:
    """Cut texts into windows.

    Args:
        rows: texts.
        tokenizer: of the checkpoint.
        names: the relations, in the order of the logits.
        overlap: tokens that neighbouring windows share; None: a quarter of a window.

    Raises:
        DataError: there are no rows; relations that are not among `names`.
    """
    if not len(rows):
        raise DataError(f"{rows!r}: there are no rows to tokenise.")
    number = _numbers(rows, names) if rows.has_labels else None
    texts = rows.texts()
    pieces = cut(tokenizer, texts)
    frame = frame_of(tokenizer)
    room = tokenizer.max_length - frame.size
    overlap = overlap_of(overlap, room)
    before, after = (np.full(len(gap), -1, "int32") for gap in frame.ids)
    found, ids, owners, starts, ends, lost = [], [], [], [], [], 0
    columns = rows.column("triples") if rows.has_labels else [()] * len(rows)
    for i, triples in enumerate(columns):
        here = pieces.of(i)
        spans = without_spaces(texts[i], pieces.starts[here], pieces.ends[here])
        placed = np.array(
            [_tokens(triple, *spans, number) for triple in triples], "int32"
        ).reshape(-1, 5)
        seen = np.zeros(len(placed), bool)
        for start, stop in windows(len(spans[0]), room, overlap):
            ids.append((pieces.ids[here][start:stop],))
            owners.append(i)
            for column, side in zip((starts, ends), spans, strict=True):
                column.append(np.concatenate([before, side[start:stop], after]))
            inside = (placed[:, [0, 3]] >= start).all(1)
            inside &= (placed[:, [1, 4]] < stop).all(1)
            seen |= inside
            shift = len(before) - start
            found.append(placed[inside] + np.array([shift, shift, 0, shift, shift]))
        lost += int((~seen).sum())
    return TripleExamples(
        joined(ids, frame),
        _filled_up(found) if rows.has_labels else None,
        np.array(owners, "int32"),
        starts,
        ends,
        lost,
    )


def _numbers(rows, names):
    unknown = sorted(set(rows.label_counts) - set(names))
    unknown = [name for name in unknown if rows.label_counts[name]]
    if unknown:
        raise DataError(
            f"{rows!r}: has the relations {', '.join(unknown[:20])}, but the task "
            f"knows {', '.join(names)}.{did_you_mean(unknown[0], names)}"
        )
    return {name: i for i, name in enumerate(names)}


def _tokens(triple, starts, ends, number):
    """A triple in tokens; a mention without one lies before all windows."""
    sides = []
    for name in ("subject", "object"):
        place = triple[name]
        inside = (starts < place["end"]) & (ends > place["start"])
        found = np.flatnonzero(inside)
        sides.append((found[0], found[-1]) if len(found) else (-1, -1))
    return *sides[0], number[triple["relation"]], *sides[1]


def _filled_up(found):
    """Triples of each example as one array."""
    most = max([1, *map(len, found)])
    array = np.full((len(found), most, 5), -1, "int32")
    for row, triples in zip(array, found, strict=True):
        row[: len(triples)] = triples
    return array
