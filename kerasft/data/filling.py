"""Texts with gaps: where the masks are, and what a text becomes when one is filled."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from kerasft._errors import DataError
from kerasft.data.encoding import Examples
from kerasft.data.tokenizer import Tokenizer


@dataclass(frozen=True)
class Gaps:
    """Texts that hold masks.

    Args:
        tokenizer: the checkpoint's.
        texts: as given.
        examples: their token ids, a mask in each gap.
        positions: (texts, most gaps) int32, tokens that are masks; then 0.
        counts: (texts,) gaps of each.
        offsets: of each text (gaps, 2), first character of a gap and the one after it.
    """

    tokenizer: Tokenizer
    texts: Sequence[str]
    examples: Examples
    positions: np.ndarray
    counts: np.ndarray
    offsets: list[np.ndarray]

    @classmethod
    def of(cls, texts: Sequence[str], tokenizer: Tokenizer) -> "Gaps":
        """Read texts with the tokenizer's mask string in them.

        Raises:
            DataError: there are no texts, or one is longer than the model takes.
        """
        if not len(texts):
            raise DataError("There are no texts to read.")
        backend = tokenizer.reading_masks().backend
        encodings = backend.encode_batch(list(texts), add_special_tokens=True)
        lengths = np.array([len(encoding.ids) for encoding in encodings], "int32")
        long = np.flatnonzero(lengths > tokenizer.max_length)
        if len(long):
            raise DataError(
                f"Text {long[0]} has {lengths[long[0]]} tokens, but the model takes "
                f"{tokenizer.max_length} ({len(long)} of {len(texts)} texts are too "
                "long). Give the sentences around the mask alone."
            )
        ids = [np.array(encoding.ids, "int32") for encoding in encodings]
        places = [np.flatnonzero(row == tokenizer.mask_id) for row in ids]
        counts = np.array([len(row) for row in places])
        positions = np.zeros((len(texts), counts.max(initial=1)), "int32")
        for row, found in zip(positions, places, strict=True):
            row[: len(found)] = found
        offsets = [
            np.array(encoding.offsets, "int64").reshape(-1, 2)[found]
            for encoding, found in zip(encodings, places, strict=True)
        ]
        examples = Examples(np.concatenate(ids), lengths, None, 0)
        return cls(tokenizer, texts, examples, positions, counts, offsets)

    def filled(self, text: int, gap: int, number: int) -> str:
        """Text `text` with token `number` in its gap `gap`; other masks stay."""
        whole, (start, stop) = self.texts[text], self.offsets[text][gap]
        place = self.examples.starts[text] + self.positions[text, gap]
        # With the token before it, which tells whether a space belongs between.
        before = int(self.examples.ids[place - 1])
        left = self.tokenizer.text_of(before)
        both = self.tokenizer.text_of(before, number)
        if not whole[:start].strip() or not both.startswith(left):
            return whole[:start] + self.tokenizer.text_of(number).strip() + whole[stop:]
        return whole[:start].rstrip() + both[len(left) :] + whole[stop:]
