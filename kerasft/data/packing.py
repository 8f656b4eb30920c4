"""Documents and examples to the full rows that causal language models learn from.

A row is made of pieces, each a text or a part of one; `sequence_ids` tell them apart,
so that no token attends to another text, and `position_ids` begin anew with each.
Labels are aligned with the token they are of: whoever takes the loss shifts them.

The trap: the first token of a piece has nothing before it that could predict it. Where
a text goes on in the next row, that row therefore begins with the last token of the row
before, so that every token but the first of each text is predicted exactly once.

Source: Krell et al. 2021 (arXiv:2107.02027), section 3, for rows of several texts.
"""

from dataclasses import dataclass, field

import numpy as np

from kerasft._errors import DataError, SettingsError
from kerasft.data.bins import best_fit
from kerasft.data.documents import Documents
from kerasft.data.encoding import SingleTexts
from kerasft.data.mapped import MappedFile

IGNORED = -100


@dataclass(frozen=True)
class Stretches:
    """Parts of one long array of token ids, each an example.

    Args:
        ids: (tokens,) int32.
        starts, stops: (examples,) int64, where each lies in `ids`.
        scored: (tokens,) bool, whether a token counts in the loss; None: all do.
        rows: (examples,) the row that each is of, or None.
        files: that `ids` lie in; () in memory.
    """

    ids: np.ndarray
    starts: np.ndarray
    stops: np.ndarray
    scored: np.ndarray | None = None
    rows: np.ndarray | None = None
    files: tuple[MappedFile, ...] = ()

    def __len__(self):
        return len(self.starts)

    @property
    def lengths(self) -> np.ndarray:
        """Tokens of each, (examples,)."""
        return self.stops - self.starts


@dataclass(frozen=True)
class PackedRows(SingleTexts):
    """Rows of pieces, and the batches of them: `Fed.examples` and `Batches.make`.

    Args:
        ids: (tokens,) int32.
        starts, stops: (pieces,) int64, where each piece lies in `ids`.
        bounds: (rows + 1,) where the pieces of each row begin among them.
        pad_id: fills up `input_ids`.
        scored: as of `Stretches`. The first token of a piece never counts.
        rows: (rows,) the user's row that each is of; None where one may be of several.
        files: that `ids` lie in.

    Raises:
        DataError: there is nothing to predict.
    """

    ids: np.ndarray
    starts: np.ndarray
    stops: np.ndarray
    bounds: np.ndarray
    pad_id: int
    scored: np.ndarray | None = None
    rows: np.ndarray | None = None
    files: tuple[MappedFile, ...] = ()
    lengths: np.ndarray = field(init=False, repr=False)
    """(rows,) int32, tokens of each row."""

    def __post_init__(self):
        ends = np.append(0, np.cumsum(self.stops - self.starts))
        lengths = np.diff(ends[self.bounds]).astype("int32")
        object.__setattr__(self, "lengths", lengths)
        if not (self.stops - self.starts > 1).any():
            raise DataError(
                "No text has two tokens, so there is nothing to predict one from. Give "
                "longer texts, or an end of text as separator."
            )

    def __len__(self):
        return len(self.bounds) - 1

    def release(self):
        """Give back the memory of what was read of a file."""
        for file in self.files:
            file.release()

    def __call__(self, chosen, width, random=None):
        """The `chosen` rows, padded to `width`.

        Returns:
            `input_ids`, `attention_mask` (1 = token), `sequence_ids` (1, 2, ... in each
            row, 0 = padding) and `position_ids`; labels: the id of each token that
            counts, -100 elsewhere. All are int32 (batch, width).
        """
        chosen = np.asarray(chosen)
        counts = self.bounds[chosen + 1] - self.bounds[chosen]
        pieces = _ranges(self.bounds[chosen], counts)
        starts, sizes = self.starts[pieces], self.stops[pieces] - self.starts[pieces]
        lengths = self.lengths[chosen].astype("int64")
        places = np.repeat(np.arange(len(chosen)) * width, lengths)
        places += _ranges(np.zeros_like(lengths), lengths)
        tokens = _ranges(starts, sizes)
        positions = _ranges(np.zeros_like(sizes), sizes)
        numbers = np.repeat(_ranges(np.ones_like(counts), counts), sizes)
        ids = self.ids[tokens]
        counted = positions > 0
        if self.scored is not None:
            counted &= self.scored[tokens]

        def laid_out(values, fill=0):
            row = np.full(len(chosen) * width, fill, "int32")
            row[places] = values
            return row.reshape(len(chosen), width)

        inputs = {
            "input_ids": laid_out(ids, self.pad_id),
            "attention_mask": laid_out(1),
            "sequence_ids": laid_out(numbers),
            "position_ids": laid_out(positions),
        }
        return inputs, laid_out(np.where(counted, ids, IGNORED), IGNORED)


@dataclass(frozen=True)
class NextTokens:
    """Makes batches whose labels are of the token that follows: `Batches.make`.

    Args:
        packed: rows with labels of each token itself.
    """

    packed: PackedRows

    def __call__(self, chosen, width, random=None):
        """Inputs and labels of the `chosen` rows, int32 (batch, width)."""
        inputs, labels = self.packed(chosen, width, random)
        after = np.full_like(labels, IGNORED)
        after[:, :-1] = labels[:, 1:]
        return inputs, after


def full_windows(
    documents: Documents, length: int, pad_id: int = 0, separate: bool = True
) -> PackedRows:
    """The stream of all documents' tokens, cut into rows of `length`.

    All rows but the last are full. Each begins with the last token of the row before.

    Args:
        documents: made with the end of text as `separator` (and the beginning, if the
            model has one, as `opening`).
        length: tokens of a row, two at least.
        pad_id: fills up the last row.
        separate: whether a token attends to its own document alone. Without it a row is
            one sequence, as GPT-2's authors trained, and a document's first token is
            predicted from the one before.

    Raises:
        SettingsError: rows too short to predict anything.
        DataError: no document has two tokens.

    Source: Radford et al. 2019, "Language models are unsupervised multitask learners",
    section 2.
    """
    _raise_if_too_short(length)
    total, step = int(documents.bounds[-1]), length - 1
    count = max(1, -(-(total - 1) // step))
    starts = np.arange(count, dtype="int64") * step
    windows, ends = np.arange(count), np.minimum(starts + length, total)
    if separate:
        inner = np.unique(documents.bounds[1:])  # Of those without tokens, once.
        inner = inner[inner < total]
        # One that opens a row is told by the row; it also ends the row before.
        windows = np.append(windows, (inner - 1) // step)
        starts = np.append(starts, inner)
        order = np.lexsort((starts, windows))
        windows, starts = windows[order], starts[order]
    last = np.append(windows[1:] != windows[:-1], True)
    stops = np.where(last, ends[windows], np.append(starts[1:], total))
    return PackedRows(
        documents.ids,
        starts,
        stops,
        np.searchsorted(windows, np.arange(count + 1)),
        pad_id,
        files=documents.files,
    )


def stretches_of(documents: Documents, length: int) -> Stretches:
    """Each document an example; longer ones in parts, all but the last of them full.

    A part begins with the last token of the part before, so that all but the first
    token of a document is predicted once. Documents without tokens give none.

    Raises:
        SettingsError: parts too short to predict anything.
    """
    _raise_if_too_short(length)
    sizes = np.diff(documents.bounds)
    counts = np.where(sizes > 0, np.maximum(1, -(-(sizes - 1) // (length - 1))), 0)
    rows = np.repeat(np.arange(len(sizes)), counts)
    number = _ranges(np.zeros_like(counts), counts)
    starts = documents.bounds[rows] + number * (length - 1)
    stops = np.minimum(starts + length, documents.bounds[rows + 1])
    return Stretches(documents.ids, starts, stops, None, rows, documents.files)


def pack_examples(examples: Stretches, length: int, pad_id: int = 0) -> PackedRows:
    """Whole examples side by side, in as few rows of `length` as best fit gives.

    The longest come first, each into the fullest row that has room for it. Which ones
    share a row is the same in every epoch; none attends to another.

    Raises:
        SettingsError: rows too short to predict anything.
        DataError: examples that are longer than a row.
    """
    _raise_if_too_short(length)
    lengths = examples.lengths
    _raise_if_longer(lengths, length)
    row_of = best_fit(lengths, length)
    order = np.argsort(row_of, kind="stable")
    bounds = np.append(0, np.cumsum(np.bincount(row_of)))
    return PackedRows(
        examples.ids,
        examples.starts[order],
        examples.stops[order],
        bounds,
        pad_id,
        examples.scored,
        files=examples.files,
    )


def one_per_row(examples: Stretches, length: int, pad_id: int = 0) -> PackedRows:
    """Each example a row of its own, to be padded: what packing is compared with.

    Raises:
        DataError: examples that are longer than `length`.
    """
    _raise_if_longer(examples.lengths, length)
    return PackedRows(
        examples.ids,
        examples.starts,
        examples.stops,
        np.arange(len(examples) + 1),
        pad_id,
        examples.scored,
        examples.rows,
        examples.files,
    )


def _ranges(starts, counts):
    """Starts, starts + 1, ..., `counts` of each, one range after the other."""
    before = np.cumsum(counts) - counts
    return np.repeat(starts - before, counts) + np.arange(counts.sum())


def _raise_if_too_short(length):
    if length < 2:
        raise SettingsError(
            f"length is {length}; a row needs two tokens at least, one to predict the "
            "other from."
        )


def _raise_if_longer(lengths, length):
    longer = np.flatnonzero(lengths > length)
    if len(longer):
        raise DataError(
            f"{len(longer):,} of {len(lengths):,} examples are longer than a row of "
            f"{length} tokens, the longest has {lengths.max():,}. Cut them, or allow "
            "longer rows."
        )
