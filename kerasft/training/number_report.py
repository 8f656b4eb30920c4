"""Report on numbers: how far predictions are off, and how they go together."""

import numpy as np
from scipy import stats
from sklearn import metrics as sklearn_metrics

from kerasft.training import plots
from kerasft.training.quality import Mistake, Report, table


class NumberReport(Report):
    """One number a row, or several."""

    @property
    def metrics(self):
        """Errors and correlations; of several numbers all together, then each."""
        numbers = number_metrics(self.y_true.ravel(), self.outputs.ravel())
        if len(self.labels) > 1:
            for name, true, predicted in self._columns():
                found = number_metrics(true, predicted)
                numbers |= {f"{key}/{name}": value for key, value in found.items()}
        return numbers

    def _columns(self):
        rows = len(self.outputs)
        true = self.y_true.reshape(rows, -1).T
        return zip(self.labels, true, self.outputs.reshape(rows, -1).T, strict=True)

    def text(self):
        """One line a number."""
        found = [(name, number_metrics(*pair)) for name, *pair in self._columns()]
        header = ("value", *found[0][1])
        return "\n".join(table(header, [(name, *n.values()) for name, n in found]))

    def figures(self):
        """For each number: predicted over true, and how errors spread."""
        found = {}
        for name, true, predicted in self._columns():
            end = f"_{name}" if len(self.labels) > 1 else ""
            found[f"scatter{end}"] = plots.scatter(true, predicted, name)
            found[f"residuals{end}"] = plots.residuals(true, predicted, name)
        return found

    def mistakes(self, most=20):
        """Rows with the largest distance, over all numbers."""
        rows = len(self.outputs)
        true = self.y_true.reshape(rows, -1)
        predicted = self.outputs.reshape(rows, -1)
        distance = np.abs(true - predicted).max(axis=1)
        worst = np.argsort(-distance, kind="stable")[:most]
        return [
            Mistake(int(i), _plain(true[i]), _plain(predicted[i]), float(distance[i]))
            for i in worst
        ]


def number_metrics(true, predicted) -> dict[str, float]:
    """Errors and correlations of two arrays (rows,).

    A correlation is 0 while either side has no spread, as `kerasft`'s metric is.
    """
    level = np.ptp(true) == 0 or np.ptp(predicted) == 0
    return {
        "mae": float(sklearn_metrics.mean_absolute_error(true, predicted)),
        "rmse": float(sklearn_metrics.root_mean_squared_error(true, predicted)),
        "pearson": 0.0 if level else float(stats.pearsonr(true, predicted)[0]),
        "spearman": 0.0 if level else float(stats.spearmanr(true, predicted)[0]),
        "r2": _r2(true, predicted),
    }


def _r2(true, predicted):
    """Share of the spread explained; 0 of less than two rows, where there is none."""
    return float(sklearn_metrics.r2_score(true, predicted)) if len(true) > 1 else 0.0


def _plain(numbers):
    return ", ".join(f"{number:.4g}" for number in numbers)
