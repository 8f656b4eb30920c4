"""Examples of texts that may be longer than the model takes: windows that overlap.

The trap: what lies in two windows must count once. Each token belongs to the window in
which it has more around it: an overlap is cut in its middle, or near it, where the
caller allows a cut.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from kerasft._errors import SettingsError
from kerasft.data.encoding import Examples
from kerasft.data.tokenizer import Tokenizer


@dataclass(frozen=True)
class Frame:
    """The special tokens around one text, or between and around two.

    Args:
        ids: those before the first text, after it (and after the second).
        types: their token type ids.
        text_types: those of the texts.
    """

    ids: tuple[np.ndarray, ...]
    types: tuple[np.ndarray, ...]
    text_types: tuple[int, ...]

    @property
    def size(self) -> int:
        """How many special tokens there are."""
        return sum(map(len, self.ids))

    def second_start(self, texts) -> int:
        """How many tokens of type 0 an example of these token ids has.

        Those of type 1 come after them, if there are any.
        """
        zeros = sum(int((types == 0).sum()) for types in self.types)
        kinds = zip(texts, self.text_types, strict=True)
        return zeros + sum(len(ids) for ids, kind in kinds if kind == 0)


def frame_of(tokenizer: Tokenizer, pair: bool = False) -> Frame:
    """Read the special tokens off a tokenizer's own encoding of a short text."""
    backend = tokenizer.backend
    encoding = backend.encode("a", "a") if pair else backend.encode("a")
    owner = np.array([-1 if s is None else s for s in encoding.sequence_ids])
    special = np.array(encoding.special_tokens_mask, bool)
    ids, types = np.array(encoding.ids, "int32"), np.array(encoding.type_ids, "int32")
    gaps, begin, text_types = [], 0, []
    for text in range(2 if pair else 1):
        places = np.flatnonzero((owner == text) & ~special)
        gaps.append(slice(begin, places[0]))
        text_types.append(int(types[places[0]]))
        begin = places[-1] + 1
    gaps.append(slice(begin, len(ids)))
    return Frame(
        tuple(ids[gap] for gap in gaps),
        tuple(types[gap] for gap in gaps),
        tuple(text_types),
    )


def windows(length: int, room: int, overlap: int) -> list[tuple[int, int]]:
    """Where windows of at most `room` tokens begin and end, the first to the last."""
    starts = range(0, max(1, length - overlap), room - overlap)
    return [(start, min(start + room, length)) for start in starts]


def owned(
    length: int,
    room: int,
    overlap: int,
    may_cut: Callable[[int], bool] = lambda place: True,
) -> list[tuple[int, int, int, int]]:
    """Windows with the part that each answers for: (start, stop, first, last).

    Args:
        length: tokens of the text.
        room: the most tokens of a window.
        overlap: tokens that neighbours share.
        may_cut: whether the parts may part before this token; where no place in the
            overlap will do, they part in its middle.
    """
    spans = windows(length, room, overlap)
    cuts = [0]
    for (_, stop), (start, _) in zip(spans, spans[1:], strict=False):
        middle = (start + stop + 1) // 2
        places = sorted(range(start, stop + 1), key=lambda p, m=middle: abs(p - m))
        cuts.append(next((p for p in places if may_cut(p)), middle))
    cuts.append(length)
    return [
        (*span, first, last)
        for span, first, last in zip(spans, cuts, cuts[1:], strict=False)
    ]


def overlap_of(asked: int | None, room: int) -> int:
    """How many tokens neighbouring windows share; None: a quarter of a window.

    Raises:
        SettingsError: windows would not move on.
    """
    overlap = room // 4 if asked is None else asked
    if not 0 <= overlap < room:
        raise SettingsError(
            f"overlap is {asked}, but a window holds {room} tokens of text. Give 0 to "
            f"{room - 1}."
        )
    return overlap


def joined(frames, frame: Frame) -> Examples:
    """Examples of token ids with special tokens around them.

    Args:
        frames: of each example the ids of its text, or of both texts, as a tuple.
        frame: the special tokens.
    """
    parts, lengths, seconds = [], [], []
    for texts in frames:
        row = [frame.ids[0]]
        for ids, gap in zip(texts, frame.ids[1:], strict=True):
            row += [ids, gap]
        parts += row
        lengths.append(sum(map(len, row)))
        seconds.append(frame.second_start(texts))
    paired = len(frame.text_types) == 2
    return Examples(
        np.concatenate(parts).astype("int32"),
        np.array(lengths, "int32"),
        np.array(seconds, "int32") if paired else None,
        0,
    )
