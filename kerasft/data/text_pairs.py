"""Pairs of texts out of documents: the second goes on with the first, or it does not.

A passage is parted between two of its sentences, anew each time. In half of the pairs
the parts then change places ("order"), or the second gives way to a stretch of another
text ("next").

Sources: Devlin et al. 2018 (arXiv:1810.04805), section 3.1; Lan et al. 2019
(arXiv:1909.11942), section 3.1.
"""

from dataclasses import dataclass, replace

import numpy as np

from kerasft._errors import DataError
from kerasft.data.documents import INNER, OPENS, Documents, Passages, passages_of
from kerasft.data.masking import Masking
from kerasft.data.tokenizer import Tokenizer
from kerasft.data.windows import frame_of


def swapped(documents, span, place, random):
    """The two parts of a stretch, the second one first."""
    start, stop = span
    return (place, stop), (start, place)


def replaced(documents, span, place, random):
    """The first part, and a stretch of another text, at most as long as the second.

    Each token of the other texts is as likely to be in the sentence that it opens with.
    """
    start, stop = span
    bounds = documents.bounds
    own = np.searchsorted(bounds, start, side="right") - 1
    size = bounds[own + 1] - bounds[own]
    token = random.integers(0, bounds[-1] - size)
    token += size * (token >= bounds[own])
    other = np.searchsorted(bounds, token, side="right") - 1
    before = documents.marks[bounds[other] : token + 1]
    opening = bounds[other] + np.flatnonzero(before & OPENS)[-1]
    end = bounds[other + 1] - len(documents.separator)
    return (start, place), (opening, min(opening + stop - place, end))


PAIRINGS = {"next": replaced, "order": swapped}


@dataclass(frozen=True)
class PairedPassages:
    """Makes batches of pairs with hidden tokens: `Batches.make`.

    Args:
        passages: stretches of at least two tokens, each of one text.
        masking: hides tokens.
        pairs: a key of `PAIRINGS`.
    """

    passages: Passages
    masking: Masking
    pairs: str

    @classmethod
    def of(cls, documents: Documents, tokenizer: Tokenizer, masking, pairs):
        """Pairs of all texts.

        Raises:
            DataError: no text can be parted, or there is no other text.
        """
        frame = frame_of(tokenizer, pair=True)
        passages = passages_of(documents, tokenizer, pack=False, frame=frame)
        some = passages.stops - passages.starts > 1
        if not some.any():
            raise DataError("No text has two tokens: there are no pairs to make.")
        if pairs == "next" and (documents.lengths > 0).sum() < 2:
            raise DataError(
                "There is only one text, so no other text can follow it. Give each "
                "document a row of its own."
            )
        columns = ("starts", "stops", "rows")
        kept = {name: getattr(passages, name)[some] for name in columns}
        return cls(replace(passages, **kept), masking, pairs)

    def __call__(self, chosen, width, random):
        """Inputs and labels: `masked` (batch, slots), `pair` (batch,), 1 = changed."""
        p = self.passages
        changed = random.random(len(chosen)) < 0.5
        spans = [
            self._pair((p.starts[i], p.stops[i]), change, random)
            for i, change in zip(chosen, changed, strict=True)
        ]
        inputs, marks = p.laid_out(np.array(spans), width, self.masking.pad_id)
        inputs, labels = self.masking.hide(inputs, marks, random)
        return inputs, {"masked": labels, "pair": changed.astype("int32")}

    def _pair(self, span, change, random):
        """Two stretches, as they follow each other or not."""
        documents = self.passages.documents
        place = _parting(documents.marks[slice(*span)], random) + span[0]
        if change:
            return PAIRINGS[self.pairs](documents, span, place, random)
        return (span[0], place), (place, span[1])


def _parting(marks, random):
    """Where a stretch is parted: at a sentence, else at a word, else anywhere."""
    inside = marks[1:]
    for places in (inside & OPENS > 0, inside & INNER == 0, inside >= 0):
        if places.any():
            return 1 + random.choice(np.flatnonzero(places))
