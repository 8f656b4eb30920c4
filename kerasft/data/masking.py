"""Tokens hidden for a model to guess, anew in each batch.

Which tokens, and what stands in their place, is a function of the generator that a
batch is made with, and that of seed, epoch and step: a resumed run sees the same.

Source: Devlin et al. 2018 (arXiv:1810.04805), section 3.1; whole words: the authors'
later release.
"""

import math
from dataclasses import dataclass

import numpy as np

from kerasft._errors import SettingsError
from kerasft.data.documents import INNER, Passages
from kerasft.data.tokenizer import Tokenizer

IGNORED = -100


@dataclass(frozen=True)
class Masking:
    """How tokens are hidden.

    Args:
        tokenizer: knows the mask, and which tokens are special: never hidden.
        share: of the tokens that are hidden, on average; at least one an example.
        mask_random_keep: shares of these that become the mask, any token, or stay.
        whole_words: whether all tokens of a word are hidden together.

    Raises:
        SettingsError: shares that cannot be.
        CheckpointError: the tokenizer has no mask.
    """

    tokenizer: Tokenizer
    share: float = 0.15
    mask_random_keep: tuple[float, float, float] = (0.8, 0.1, 0.1)
    whole_words: bool = False

    def __post_init__(self):
        if not 0 < self.share < 1:
            raise SettingsError(f"mask_share is {self.share}; it must be in (0, 1).")
        shares = self.mask_random_keep
        if len(shares) != 3 or min(shares) < 0 or not math.isclose(sum(shares), 1):
            raise SettingsError(
                f"mask_random_keep is {shares}; give three shares that add up to 1: of "
                "the mask, of a random token, of the token itself."
            )
        ordinary = self.tokenizer.ordinary
        object.__setattr__(self, "_ordinary", ordinary)
        object.__setattr__(self, "_candidates", np.flatnonzero(ordinary))
        object.__setattr__(self, "_mask_id", self.tokenizer.mask_id)

    @property
    def pad_id(self) -> int:
        """The id that fills up a batch."""
        return self.tokenizer.pad_id

    def slots(self, width: int) -> int:
        """The most tokens that are hidden in an example padded to `width`."""
        return math.ceil(self.share * width)

    def hide(self, inputs: dict, marks: np.ndarray, random: np.random.Generator):
        """Hide tokens of a batch.

        Args:
            inputs: `input_ids` and `attention_mask`, (batch, length).
            marks: (batch, length), as of `Documents`.
            random: decides.

        Returns:
            The inputs, with other `input_ids` and with `masked_positions`, int32
            (batch, slots), 0 where a slot is empty; the tokens that stood there, int32
            (batch, slots), -100 where empty.
        """
        ids = inputs["input_ids"]
        units = self._units(ids, inputs["attention_mask"], marks)
        positions = np.zeros((len(ids), self.slots(ids.shape[1])), "int32")
        labels = np.full_like(positions, IGNORED)
        for i, row in enumerate(units):
            places = self._places(row, positions.shape[1], random)
            positions[i, : len(places)] = places
            labels[i, : len(places)] = ids[i, places]
        hidden = ids.copy()
        rows, slots = np.nonzero(labels != IGNORED)
        stand_ins = self._stand_ins(labels[rows, slots], random)
        hidden[rows, positions[rows, slots]] = stand_ins
        inputs = inputs | {"input_ids": hidden, "masked_positions": positions}
        return inputs, labels

    def _units(self, ids, mask, marks):
        """Number of what is hidden together, (batch, length); -1: never hidden."""
        ordinary = self._ordinary[ids] & (mask == 1)
        opens = ordinary.copy()
        if self.whole_words:
            before = np.pad(ordinary, ((0, 0), (1, 0)))[:, :-1]
            opens &= ~((marks & INNER > 0) & before)
        return np.where(ordinary, np.cumsum(opens, axis=1) - 1, -1)

    def _places(self, units, most, random):
        """Which tokens of one example are hidden: units in random order that fit.

        The number of tokens is rounded up or down by chance, so that the share is
        right on average.
        """
        sizes = np.bincount(units[units >= 0])
        if not len(sizes):
            return np.zeros(0, "int32")
        room = max(1, int(self.share * sizes.sum() + random.random()))
        picked = []
        for unit in random.permutation(len(sizes)).tolist():
            if sizes[unit] <= room:
                picked.append(unit)
                room -= sizes[unit]
            if not room:
                break
        # Where no word fits, the shortest, or what there is room for of it.
        picked = picked or [sizes.argmin()]
        return np.flatnonzero(np.isin(units, picked))[:most]

    def _stand_ins(self, labels, random):
        """What stands in the place of the hidden tokens (tokens,)."""
        masked, replaced, _ = np.cumsum(self.mask_random_keep)
        chance = random.random(len(labels))
        others = random.choice(self._candidates, len(labels))
        others = np.where(chance < replaced, others, labels)
        return np.where(chance < masked, self._mask_id, others)


@dataclass(frozen=True)
class MaskedPassages:
    """Makes batches of passages with hidden tokens: `Batches.make`.

    Args:
        passages: the examples.
        masking: hides their tokens.
        all_tokens: whether labels are a dict: `masked`, as of `Masking.hide`, and
            `replaced`, the tokens of the whole text (batch, width), -100 on padding.
    """

    passages: Passages
    masking: Masking
    all_tokens: bool = False

    def __call__(self, chosen, width, random):
        """Inputs and labels of the `chosen` examples, as of `Masking.hide`."""
        p = self.passages
        spans = np.stack([p.starts[chosen], p.stops[chosen]], -1)[:, None]
        inputs, marks = p.laid_out(spans, width, self.masking.pad_id)
        hidden, labels = self.masking.hide(inputs, marks, random)
        if self.all_tokens:
            real = inputs["attention_mask"] == 1
            tokens = np.where(real, inputs["input_ids"], np.int32(IGNORED))
            labels = {"masked": labels, "replaced": tokens}
        return hidden, labels
