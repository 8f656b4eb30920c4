"""Reports on labels: one of several a row, or any number of them.

scikit-learn computes the numbers. A macro mean is over the labels that occur or are
predicted: scikit-learn's default, and what the metrics in `fit` show.
"""

import abc
from dataclasses import dataclass

import numpy as np
from sklearn import metrics as sklearn_metrics

from kerasft.training import plots
from kerasft.training.quality import Mistake, Report, lines, table

AVERAGES = ("macro", "micro", "weighted")
COLUMNS = ("precision", "recall", "f1", "support")


@dataclass(frozen=True, eq=False)
class LabelReport(Report):
    """What one label a row and many labels a row have in common."""

    @property
    @abc.abstractmethod
    def hot(self):
        """(true, predicted), each 0/1 (rows, labels)."""

    @property
    @abc.abstractmethod
    def overall(self):
        """Name -> number of what is not by label."""

    @property
    def by_label(self):
        """(4, labels): precision, recall, F1, support."""
        return np.array(
            sklearn_metrics.precision_recall_fscore_support(*self.hot, zero_division=0)
        )

    @property
    def metrics(self):
        """Overall, then averages, then every label: "f1_macro", "f1/sport"."""
        numbers = dict(self.overall)
        found = self.by_label
        for name, values in self._averages(found).items():
            for column, value in zip(COLUMNS, values, strict=False):
                numbers[f"{column}_{name}"] = float(value)
        for label, values in zip(self.labels, found.T, strict=True):
            for column, value in zip(COLUMNS, values, strict=True):
                numbers[f"{column}/{label}"] = float(value)
        return numbers

    def _averages(self, found):
        true, predicted = self.hot
        seen = (true.sum(0) + predicted.sum(0)) > 0
        micro = sklearn_metrics.precision_recall_fscore_support(
            true, predicted, average="micro", zero_division=0
        )[:3]
        support = found[3] if found[3].any() else None  # No label at all: plain mean.
        weighted = np.average(found[:3], axis=1, weights=support)
        macro = found[:3, seen].mean(axis=1) if seen.any() else np.zeros(3)
        return dict(zip(AVERAGES, (macro, micro, weighted), strict=True))

    def text(self):
        """One line a label, then the averages, then what is overall."""
        found = self.by_label
        rows = [
            (label, *values, int(support))
            for label, (*values, support) in zip(self.labels, found.T, strict=True)
        ]
        total = int(found[3].sum())
        for name, values in self._averages(found).items():
            rows.append((f"({name})", *values, total))
        return "\n".join([*table(("label", *COLUMNS), rows), "", *lines(self.overall)])

    def curve_data(self):
        """Each label that occurs, against the rest; and "(micro)", all of them."""
        true, _ = self.hot
        named = zip(self.labels, true.T, self.outputs.T, strict=True)
        curves = {name: (hot, score) for name, hot, score in named if hot.any()}
        return {"(micro)": (true.ravel(), self.outputs.ravel()), **curves}

    def _precision_recall(self):
        curves = {}
        for name, (true, score) in self.curve_data().items():
            precision, recall, _ = sklearn_metrics.precision_recall_curve(true, score)
            average = sklearn_metrics.average_precision_score(true, score)
            curves[name] = (precision, recall, average)
        return plots.precision_recall(curves)


class ClassReport(LabelReport):
    """One label of several."""

    @property
    def predicted(self):
        """(rows,) the class with the highest probability."""
        return self.outputs.argmax(axis=1)

    @property
    def hot(self):
        """Truth and prediction as 0/1 (rows, labels)."""
        unit = np.eye(len(self.labels), dtype="int64")
        return unit[self.y_true], unit[self.predicted]

    @property
    def overall(self):
        """Accuracy, and the mean negative logarithm of the true label's probability."""
        chance = self.outputs[np.arange(len(self.y_true)), self.y_true]
        return {
            "accuracy": float((self.predicted == self.y_true).mean()),
            "log_loss": float(-np.log(np.clip(chance, 1e-15, 1.0)).mean()),
        }

    @property
    def matrix(self):
        """Counts (true label, predicted label)."""
        classes = range(len(self.labels))
        return sklearn_metrics.confusion_matrix(
            self.y_true, self.predicted, labels=classes
        )

    def figures(self):
        """Confusion matrix, precision-recall curves, and whether scores are honest."""
        right = self.predicted == self.y_true
        return {
            "confusion_matrix": plots.confusion_matrix(self.matrix, self.labels),
            "precision_recall": self._precision_recall(),
            "reliability": plots.reliability(self.outputs.max(axis=1), right),
        }

    def mistakes(self, most=20):
        """Rows with a wrong label, the most confident first."""
        predicted = self.predicted
        score = self.outputs.max(axis=1)
        wrong = np.flatnonzero(predicted != self.y_true)
        worst = wrong[np.argsort(-score[wrong], kind="stable")][:most]
        names = self.labels
        return [
            Mistake(int(i), names[self.y_true[i]], names[predicted[i]], float(score[i]))
            for i in worst
        ]


class ManyLabelsReport(LabelReport):
    """Any number of labels a row; a label is predicted from one half on."""

    @property
    def hot(self):
        """Truth and prediction as 0/1 (rows, labels)."""
        return self.y_true.astype("int64"), (self.outputs >= 0.5).astype("int64")

    @property
    def overall(self):
        """Share of rows with all labels right, and share of single labels wrong."""
        wrong = np.not_equal(*self.hot)
        return {
            "exact_match": float(1.0 - wrong.any(axis=1).mean()),
            "hamming_loss": float(wrong.mean()),
        }

    def figures(self):
        """F1 of each label, and precision-recall curves."""
        return {
            "f1_by_label": plots.f1_bars(self.by_label[2], self.labels),
            "precision_recall": self._precision_recall(),
        }

    def mistakes(self, most=20):
        """Rows with any label wrong, the most confidently wrong label first."""
        true, predicted = self.hot
        sureness = np.where(predicted == 1, self.outputs, 1.0 - self.outputs)
        score = np.where(true != predicted, sureness, 0.0).max(axis=1)
        worst = np.argsort(-score, kind="stable")[:most]
        return [
            Mistake(int(i), self._names(true[i]), self._names(predicted[i]), float(s))
            for i, s in zip(worst, score[worst], strict=True)
            if s > 0
        ]

    def _names(self, hot):
        return ", ".join(self.labels[i] for i in np.flatnonzero(hot)) or "(none)"
