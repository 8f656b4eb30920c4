"""Make a report of predictions: numbers, tables, figures and worst mistakes.

In: true labels and the task's probabilities (for regression its predictions), as
arrays. Out: a `Report`. The trap: logits would look plausible here, so what is no
probability is refused.
"""

from collections.abc import Sequence

import numpy as np

from kerasft._errors import DataError
from kerasft._registry import Registry
from kerasft.training.label_report import ClassReport, ManyLabelsReport
from kerasft.training.number_report import NumberReport
from kerasft.training.quality import Report

REPORTS = Registry(
    "problem",
    single_label=ClassReport,
    multi_label=ManyLabelsReport,
    regression=NumberReport,
)


def report(labels: Sequence[str], problem: str, y_true, outputs) -> Report:
    """How good predictions are.

    Args:
        labels: names, in the order of the columns of `outputs`.
        problem: "single_label", "multi_label" or "regression".
        y_true: class numbers (rows,), 0/1 (rows, labels), or numbers (rows[, labels]),
            as `task.label_array(rows)` gives them.
        outputs: `task.probabilities(logits)`, (rows, labels); for regression the
            logits themselves, which are the predicted numbers.

    Raises:
        UnknownNameError: no such problem.
        DataError: shapes that do not fit, logits in place of probabilities, numbers
            that are not finite, or no row at all.
    """
    kind = REPORTS[problem]
    labels, y_true = tuple(labels), np.asarray(y_true)
    outputs = np.asarray(outputs, "float64")
    _raise_unless_shapes_fit(labels, problem, y_true, outputs)
    if problem != "regression":
        _raise_unless_probabilities(problem, outputs)
    if not np.isfinite(outputs).all():
        raise DataError(
            f"{int((~np.isfinite(outputs)).sum())} of {outputs.size} outputs are not "
            "finite: the model is broken. Train again with a smaller learning rate."
        )
    return kind(labels, y_true, outputs)


def _raise_unless_shapes_fit(labels, problem, y_true, outputs):
    rows, count = len(y_true), len(labels)
    expected = {
        "single_label": [(rows,)],
        "multi_label": [(rows, count)],
        "regression": [(rows, count), *([(rows,)] if count == 1 else [])],
    }[problem]
    if not rows or outputs.shape != (rows, count) or y_true.shape not in expected:
        raise DataError(
            f"A {problem} report with {count} labels takes outputs (rows, {count}) "
            f"and true labels {' or '.join(map(str, expected))}, at least one row; "
            f"given are outputs {outputs.shape} and true labels {y_true.shape}."
        )
    if problem == "single_label" and not ((y_true >= 0) & (y_true < count)).all():
        raise DataError(
            f"True labels must be 0 to {count - 1}, but they go from {y_true.min()} to "
            f"{y_true.max()}."
        )


def _raise_unless_probabilities(problem, outputs):
    between = ((outputs >= 0) & (outputs <= 1)) | np.isnan(outputs)
    sums = np.nan_to_num(outputs.sum(axis=1), nan=1.0)
    one = problem != "single_label" or np.allclose(sums, 1.0, atol=1e-3)
    if not between.all() or not one:
        raise DataError(
            "The outputs are no probabilities: they must be 0 to 1, and of one label a "
            "row sum to 1. Pass task.probabilities(logits)."
        )
