"""Reports on things that are found or missed: of each row a set, each with its type.

A macro mean is over the types that occur or are predicted.
"""

import abc
from collections import Counter

import numpy as np

from kerasft.training import plots
from kerasft.training.quality import lines, table

AVERAGES = ("macro", "micro", "weighted")
COLUMNS = ("precision", "recall", "f1", "support")


class SetReport(abc.ABC):
    """Quality of sets; tells what a `Report` tells.

    Args:
        labels: the types.
        found: of each row (actual, predicted): sets of tuples, whose first value is the
            type.
    """

    kind = "type"

    def __init__(self, labels, found):
        self.labels, self.found = tuple(labels), found

    @property
    def overall(self):
        """Name -> number of what is not by type."""
        return {}

    @property
    def counts(self):
        """How many of each type are right, predicted and actual, (3, types)."""
        counters = [Counter(), Counter(), Counter()]
        for actual, predicted in self.found:
            for counter, some in zip(
                counters, (actual & predicted, predicted, actual), strict=True
            ):
                counter.update(kind for kind, *_ in some)
        return np.array([[c[kind] for kind in self.labels] for c in counters], float)

    @property
    def metrics(self):
        """What is overall, averages over types, then every type: "f1/PER"."""
        numbers = dict(self.overall)
        counts = self.counts
        for name, values in _averages(counts).items():
            for column, value in zip(COLUMNS, values, strict=False):
                numbers[f"{column}_{name}"] = float(value)
        for label, values in zip(self.labels, by_type(counts).T, strict=True):
            for column, value in zip(COLUMNS, values, strict=True):
                numbers[f"{column}/{label}"] = float(value)
        return numbers

    def text(self):
        """One line a type, then the averages, then what is overall."""
        counts = self.counts
        rows = [
            (label, *values, int(support))
            for label, (*values, support) in zip(
                self.labels, by_type(counts).T, strict=True
            )
        ]
        total = int(counts[2].sum())
        rows += [(f"({n})", *v, total) for n, v in _averages(counts).items()]
        told = table((self.kind, *COLUMNS), rows)
        return "\n".join([*told, "", *lines(self.overall)]).rstrip()

    def figures(self):
        """F1 of each type."""
        return {"f1_by_type": plots.f1_bars(by_type(self.counts)[2], self.labels)}

    @abc.abstractmethod
    def mistakes(self, most=20):
        """Rows with something missed or made up, the most confidently wrong first."""

    def curve_data(self):
        """None: what is found has no probability of its own."""
        return {}


def by_type(counts):
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
    found = by_type(counts)
    seen = (counts[1] + counts[2]) > 0
    macro = found[:3, seen].mean(axis=1) if seen.any() else np.zeros(3)
    weights = counts[2] if counts[2].any() else None
    weighted = np.average(found[:3], axis=1, weights=weights)
    return dict(zip(AVERAGES, (macro, np.array(micro), weighted), strict=True))


def _divided(above, below):
    above, below = np.asarray(above, float), np.asarray(below, float)
    return np.where(below > 0, above / np.maximum(below, 1e-9), 0.0)
