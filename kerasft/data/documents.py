"""Texts of any length as documents, and passages of them as examples.

All tokens lie in one array, each document followed by the separator, with marks of
words and sentences. A passage is a stretch of it; special tokens are put around it when
a batch is made, so nothing is stored twice and passages may differ each epoch.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from kerasft._errors import DataError
from kerasft.data.cache import kept_arrays
from kerasft.data.encoding import CACHED_FROM, CHUNK, SingleTexts
from kerasft.data.mapped import MappedFile
from kerasft.data.pieces import Pieces, cut
from kerasft.data.progress import bar
from kerasft.data.rows import Rows
from kerasft.data.tokenizer import Tokenizer
from kerasft.data.windows import Frame, frame_of

FORMAT = 1
TYPES = {"ids": "int32", "marks": "uint8", "lengths": "int64"}
INNER, OPENS = 1, 2
# Looks behind, so that a long row of dots is read once.
SENTENCE_END = re.compile(
    r"(?<![.!?…])[.!?…]++[\"'”’»)\]]*+(?=\s)|[。！？]++|\n++"  # noqa: RUF001
)


@dataclass(frozen=True)
class Documents:
    """The tokens of many texts, one text after the other, separators between.

    Args:
        ids: (tokens,) int32.
        marks: (tokens,) uint8: INNER where a token goes on with the word before it,
            OPENS where a sentence begins.
        bounds: (texts + 1,) int64, where each text's tokens begin.
        separator: tokens after each text that has any.
        files: that ids and marks lie in; () in memory.
        opening: tokens before each text that has any.
    """

    ids: np.ndarray
    marks: np.ndarray
    bounds: np.ndarray
    separator: np.ndarray
    files: tuple[MappedFile, ...] = ()
    opening: np.ndarray = field(default_factory=lambda: np.zeros(0, "int32"))

    @property
    def lengths(self) -> np.ndarray:
        """Tokens of each text (texts,), opening and separator not counted."""
        around = len(self.opening) + len(self.separator)
        return np.maximum(np.diff(self.bounds) - around, 0)

    def release(self):
        """Give back the memory of what was read of the files."""
        for file in self.files:
            file.release()


def documents_of(
    rows: Rows,
    tokenizer: Tokenizer,
    opening: Sequence[int] = (),
    separator: Sequence[int] | None = None,
) -> Documents:
    """Tokenise whole texts, or find them in the cache. Labels are not looked at.

    Args:
        rows: of one text each.
        tokenizer: of the checkpoint.
        opening: ids before each text, such as that of a beginning of text.
        separator: ids after each text, such as that of an end of text; None: those
            that the tokenizer itself puts after a text, of which GPT-2's has none.

    Raises:
        DataError: no rows, pairs of texts, or no token in any of them.
    """
    if not len(rows):
        raise DataError(f"{rows!r}: there are no rows to tokenise.")
    if rows.has_pairs:
        raise DataError(
            f"{rows!r}: has two texts a row; this task takes one. Read the rows "
            "without text_pair."
        )
    own = separator is None and not len(opening)
    if separator is None:
        separator = frame_of(tokenizer).ids[-1]
    around = [np.asarray(ids, "int32") for ids in (opening, separator)]
    told = None
    if len(rows) >= CACHED_FROM:
        told = f"{FORMAT} {rows.fingerprint} {tokenizer.fingerprint}"
        told += "" if own else f" {[ids.tolist() for ids in around]}"
    chunks = _chunks(rows, tokenizer, *around)
    arrays, files = kept_arrays(chunks, TYPES, "documents", told)
    bounds = np.append(0, np.cumsum(arrays["lengths"]))
    documents = Documents(
        arrays["ids"],
        arrays["marks"],
        bounds,
        around[1],
        tuple(files[name] for name in ("ids", "marks") if files),
        around[0],
    )
    if not documents.lengths.any():
        raise DataError(f"{rows!r}: there is no token in any of these texts.")
    return documents


def _chunks(rows, tokenizer, opening, separator):
    with bar("Tokenising", len(rows)) as advance:
        for start in range(0, len(rows), CHUNK):
            texts = rows.texts(start, start + CHUNK)
            yield _marked(cut(tokenizer, texts), texts, opening, separator)
            advance(len(texts))


def _marked(pieces: Pieces, texts, opening, separator):
    """Ids, marks and lengths of some texts, opening and separator around each."""
    words, firsts = pieces.words, pieces.bounds[:-1][np.diff(pieces.bounds) > 0]
    inner = np.append(False, (words[1:] == words[:-1]) & (words[1:] >= 0))
    inner = inner[: len(words)]
    inner[firsts] = False
    marks = INNER * inner.astype("uint8")
    marks[firsts] |= OPENS
    for i, text in enumerate(texts):
        here = pieces.of(i)
        ends = [match.end() for match in SENTENCE_END.finditer(text)]
        places = np.searchsorted(pieces.starts[here], ends)
        marks[here][places[places < here.stop - here.start]] |= OPENS
    lengths = np.diff(pieces.bounds)
    some = lengths > 0
    around = np.concatenate([opening, separator])
    # In the order of the texts: what is put in at one place keeps its order.
    ends = np.stack([pieces.bounds[:-1][some], pieces.bounds[1:][some]], axis=1)
    at = np.repeat(ends, [len(opening), len(separator)], axis=1).ravel()
    return {
        "ids": np.insert(pieces.ids, at, np.tile(around, some.sum())),
        "marks": np.insert(marks, at, 0),
        "lengths": lengths + len(around) * some,
    }


@dataclass(frozen=True)
class Passages(SingleTexts):
    """Stretches of documents, each an example.

    Args:
        documents: what they are of.
        frame: special tokens around each.
        starts, stops: (examples,) places in the documents' arrays.
        rows: (examples,) the text of each; None where one may be of several.
    """

    documents: Documents
    frame: Frame
    starts: np.ndarray
    stops: np.ndarray
    rows: np.ndarray | None = None
    lengths: np.ndarray = field(init=False, repr=False)
    """(examples,) tokens of each, special ones included."""

    def __post_init__(self):
        lengths = (self.stops - self.starts + self.frame.size).astype("int32")
        object.__setattr__(self, "lengths", lengths)

    def __len__(self):
        return len(self.starts)

    def release(self):
        """Give back the memory of what was read of a file."""
        self.documents.release()

    def laid_out(self, spans: np.ndarray, width: int, pad_id: int):
        """Stretches of the documents with special tokens around, as model inputs.

        Args:
            spans: (batch, texts, 2), start and stop of each text of each example.
            width: padded length.
            pad_id: fills up `input_ids`.

        Returns:
            `input_ids`, `attention_mask` (and `token_type_ids`, for pairs), int32
            (batch, width); marks, uint8 (batch, width), 0 on special tokens.
        """
        ids = np.full((len(spans), width), pad_id, "int32")
        types, mask = np.zeros_like(ids), np.zeros_like(ids)
        marks = np.zeros(ids.shape, "uint8")
        frame = self.frame
        for i, texts in enumerate(spans):
            place = 0
            for number, gap in enumerate(frame.ids):
                ids[i, place : place + len(gap)] = gap
                types[i, place : place + len(gap)] = frame.types[number]
                place += len(gap)
                if number < len(texts):
                    here = slice(*texts[number])
                    stop = place + here.stop - here.start
                    ids[i, place:stop] = self.documents.ids[here]
                    marks[i, place:stop] = self.documents.marks[here]
                    types[i, place:stop] = frame.text_types[number]
                    place = stop
            mask[i, :place] = 1
        inputs = {"input_ids": ids, "attention_mask": mask}
        if len(frame.text_types) == 2:
            inputs["token_type_ids"] = types
        return inputs, marks


def passages_of(
    documents: Documents, tokenizer: Tokenizer, pack: bool, frame: Frame | None = None
) -> Passages:
    """Consecutive passages that no token is missing from, none in two of them.

    Args:
        documents: their tokens.
        tokenizer: knows the most tokens of an example.
        frame: special tokens around each; None: those around one text.
        pack: whether texts follow one another in an example, a separator between, so
            that all examples are full (Liu et al. 2019, arXiv:1907.11692, 4.2); else
            each text is cut into passages of its own, alike in length.
    """
    frame = frame or frame_of(tokenizer)
    room = tokenizer.max_length - frame.size
    if pack:
        starts, stops = _cut_through(documents, room)
        return Passages(documents, frame, starts, stops)
    lengths = documents.lengths
    counts = -(-lengths // room)
    rows = np.repeat(np.arange(len(lengths)), counts)
    first = np.cumsum(counts) - counts
    number = np.arange(len(rows)) - first[rows]
    begin, length, count = documents.bounds[rows], lengths[rows], counts[rows]
    starts = begin + length * number // count
    stops = begin + length * (number + 1) // count
    return Passages(documents, frame, starts, stops, rows)


def _cut_through(documents, room):
    """Stretches of `room` tokens of all texts, without a separator at either end."""
    bounds, size = documents.bounds, len(documents.separator)
    starts = np.arange(0, bounds[-1], room)
    stops = np.minimum(starts + room, bounds[-1])
    # A start in the separator after a text moves to the next text, a stop before it.
    text = np.searchsorted(bounds, starts, side="right")
    starts = np.where(starts >= bounds[text] - size, bounds[text], starts)
    text = np.searchsorted(bounds, stops, side="left")
    stops = np.minimum(stops, bounds[text] - size)
    some = starts < stops
    return starts[some], stops[some]
