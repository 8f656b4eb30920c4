"""Report on tags: which entities were found, which were missed, which were made up.

An entity counts as seqeval counts it; without entities every word is one of its tag's.
A macro mean is over the types that occur or are predicted.
"""

from collections import Counter

import numpy as np
from sklearn import metrics as sklearn_metrics

from kerasft.training import plots
from kerasft.training.quality import Mistake, lines, table

AVERAGES = ("macro", "micro", "weighted")
COLUMNS = ("precision", "recall", "f1", "support")


class TagReport:
    """Quality of tags; tells what a `Report` tells.

    Args:
        labels: entity types, or tags where they make no entities.
        words: of each row (true tags, predicted tags, chances), arrays of its words.
        entities_of: tags of one row -> its (type, begin, end).
        kind_of: for each tag the number of its type in `labels`, or -1: outside.
    """

    def __init__(self, labels, words, entities_of, kind_of):
        self.labels, self.words = tuple(labels), words
        self.kind_of = np.asarray(kind_of)
        self.found = [
            (set(entities_of(true)), set(entities_of(predicted)))
            for true, predicted, _ in words
        ]

    def _counts(self):
        """Hits, predicted and actual entities of each type, (3, types)."""
        counters = [Counter(), Counter(), Counter()]
        for actual, predicted in self.found:
            for counter, some in zip(
                counters, (actual & predicted, predicted, actual), strict=True
            ):
                counter.update(kind for kind, *_ in some)
        return np.array([[c[kind] for kind in self.labels] for c in counters], float)

    @property
    def metrics(self):
        """Accuracy of words, averages over types, then every type: "f1/PER"."""
        numbers = {"accuracy": self._accuracy()}
        counts = self._counts()
        for name, values in _averages(counts).items():
            for column, value in zip(COLUMNS, values, strict=False):
                numbers[f"{column}_{name}"] = float(value)
        for label, values in zip(self.labels, _by_type(counts).T, strict=True):
            for column, value in zip(COLUMNS, values, strict=True):
                numbers[f"{column}/{label}"] = float(value)
        return numbers

    def _accuracy(self):
        right = sum(int((true == guess).sum()) for true, guess, _ in self.words)
        return right / max(1, sum(len(true) for true, *_ in self.words))

    def text(self):
        """One line a type, then the averages, then accuracy of words."""
        counts = self._counts()
        rows = [
            (label, *values, int(support))
            for label, (*values, support) in zip(
                self.labels, _by_type(counts).T, strict=True
            )
        ]
        total = int(counts[2].sum())
        rows += [(f"({n})", *v, total) for n, v in _averages(counts).items()]
        overall = lines({"accuracy": self._accuracy()})
        return "\n".join([*table(("type", *COLUMNS), rows), "", *overall])

    def figures(self):
        """F1 of each type, and which types words are taken for."""
        return {
            "f1_by_type": plots.f1_bars(_by_type(self._counts())[2], self.labels),
            "confusion_matrix": plots.confusion_matrix(*self._confusion()),
        }

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

    def curve_data(self):
        """None: an entity has no probability of its own."""
        return {}


def _told(entities):
    return ", ".join(f"{kind} {b}-{e - 1}" for kind, b, e in entities) or "(none)"


def _by_type(counts):
    """Precision, recall, F1 and support of each type, (4, types)."""
    hits, predicted, actual = counts
    precision, recall = _divided(hits, predicted), _divided(hits, actual)
    return np.array([precision, recall, _divided(2 * hits, predicted + actual), actual])


def _averages(counts):
    hits, predicted, actual = counts.sum(1)
    both = predicted + actual
    micro = [
        _divided(hits, predicted),
        _divided(hits, actual),
        _divided(2 * hits, both),
    ]
    found = _by_type(counts)
    seen = (counts[1] + counts[2]) > 0
    macro = found[:3, seen].mean(axis=1) if seen.any() else np.zeros(3)
    weights = counts[2] if counts[2].any() else None
    weighted = np.average(found[:3], axis=1, weights=weights)
    return dict(zip(AVERAGES, (macro, np.array(micro), weighted), strict=True))


def _divided(above, below):
    above, below = np.asarray(above, float), np.asarray(below, float)
    return np.where(below > 0, above / np.maximum(below, 1e-9), 0.0)
