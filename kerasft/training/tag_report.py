"""Report on tags: which entities were found, which were missed, which were made up.

An entity counts as seqeval counts it; without entities every word is one of its tag's.
"""

import numpy as np
from sklearn import metrics as sklearn_metrics

from kerasft.training import plots
from kerasft.training.quality import Mistake
from kerasft.training.set_report import SetReport


class TagReport(SetReport):
    """Quality of tags; tells what a `Report` tells.

    Args:
        labels: entity types, or tags where they make no entities.
        words: of each row (true tags, predicted tags, chances), arrays of its words.
        entities_of: tags of one row -> its (type, begin, end).
        kind_of: for each tag the number of its type in `labels`, or -1: outside.
    """

    def __init__(self, labels, words, entities_of, kind_of):
        found = [
            (set(entities_of(true)), set(entities_of(predicted)))
            for true, predicted, _ in words
        ]
        super().__init__(labels, found)
        self.words, self.kind_of = words, np.asarray(kind_of)

    @property
    def overall(self):
        """Accuracy of words."""
        right = sum(int((true == guess).sum()) for true, guess, _ in self.words)
        total = max(1, sum(len(true) for true, *_ in self.words))
        return {"accuracy": right / total}

    def figures(self):
        """F1 of each type, and which types words are taken for."""
        matrix = plots.confusion_matrix(*self._confusion())
        return {**super().figures(), "confusion_matrix": matrix}

    def _confusion(self):
        """Counts (true type, predicted type) of words, and the names of both."""
        outside = len(self.labels)
        true, guess = (
            np.concatenate([self.kind_of[row[side]] for row in self.words])
            for side in (0, 1)
        )
        true, guess = (np.where(kind < 0, outside, kind) for kind in (true, guess))
        has_outside = bool((self.kind_of < 0).any())
        names = (*self.labels, "(none)")[: len(self.labels) + has_outside]
        classes = range(len(names))
        return sklearn_metrics.confusion_matrix(true, guess, labels=classes), names

    def mistakes(self, most=20):
        """Rows with entities missed or made up, the most confidently wrong first."""
        rows = []
        for i, (actual, predicted) in enumerate(self.found):
            missed, extra = sorted(actual - predicted), sorted(predicted - actual)
            if missed or extra:
                chances = self.words[i][2]
                sure = max((chances[b:e].mean() for _, b, e in extra), default=0.0)
                rows.append(Mistake(i, _told(missed), _told(extra), float(sure)))
        return sorted(rows, key=lambda one: -one.score)[:most]


def _told(entities):
    return ", ".join(f"{kind} {b}-{e - 1}" for kind, b, e in entities) or "(none)"
