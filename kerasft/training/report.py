"""Make a report of predictions: numbers, tables, figures and worst mistakes.

In: true labels and the task's probabilities (for regression its predictions), as
arrays. Out: a `Report`. The trap: logits would look plausible here, so what is no
probability is refused.
"""

from collections.abc import Sequence

import numpy as np

from kerasft._errors import DataError, SettingsError
from kerasft._registry import Registry
from kerasft.objectives.spans import OUTSIDE
from kerasft.tasks import (
    CausalLM,
    MaskedLM,
    MultipleChoice,
    Pretraining,
    QuestionAnswerer,
    RelationExtractor,
    ReplacedTokenDetection,
    TextClassifier,
    TextEmbedder,
    TokenClassifier,
    TripleExtractor,
)
from kerasft.tasks.ensemble import Ensemble
from kerasft.training.answer_report import AnswerReport
from kerasft.training.causal_report import report_causal
from kerasft.training.label_report import ClassReport, ManyLabelsReport
from kerasft.training.metrics_report import ChoiceReport, MetricsReport
from kerasft.training.number_report import NumberReport
from kerasft.training.quality import Report
from kerasft.training.relation_report import report_relations, report_triples
from kerasft.training.tag_report import TagReport

REPORTS = Registry(
    "problem",
    single_label=ClassReport,
    multi_label=ManyLabelsReport,
    regression=NumberReport,
)


def report_on(task, rows, batch_size: int = 32):
    """The report of a task on rows that have labels.

    Args:
        task: of a kind in `REPORTERS`.
        rows: as its `dataset` takes them.
        batch_size: rows worked on at once.

    Raises:
        SettingsError: there is no report on this kind of task.
        DataError: rows without labels, or with labels that the task does not know.
    """
    return reporter_of(task)(task, rows, batch_size)


def reporter_of(task):
    """What makes the report of such a task.

    Raises:
        SettingsError: there is none.
    """
    for kind, reporter in REPORTERS.items():
        if isinstance(task, kind):
            return reporter
    raise SettingsError(f"A {type(task).__name__} has no report on rows.")


def _report_labels(task, rows, batch_size):
    truth = task.label_array(rows)
    outputs = task.predict_rows(rows, batch_size)
    if task.problem != "regression":
        outputs = task.probabilities(outputs)
    return report(task.labels, task.problem, truth, outputs)


def _report_tags(task, rows, batch_size):
    truth = task.true_tags(rows)
    words = []
    for true, (predicted, chances) in zip(
        truth, task.predict_rows(rows, batch_size), strict=True
    ):
        words.append((true, predicted, chances))
    tags = task.tag_set
    if task.finds_entities:
        outside = [name == OUTSIDE for name in task.labels]
        kinds = np.where(outside, -1, tags.type_of[:-1])
        return TagReport(tags.types, words, tags.entities, kinds)

    def single(row):
        return [(task.labels[tag], i, i + 1) for i, tag in enumerate(row)]

    return TagReport(task.labels, words, single, range(len(task.labels)))


def _report_answers(task, rows, batch_size):
    return AnswerReport(*task.score_rows(rows, batch_size))


def _report_choices(task, rows, batch_size):
    answers = task.answer_rows(rows, batch_size)
    return ChoiceReport(rows.column("choices"), task.label_array(rows), answers)


def _report_guesses(task, rows, batch_size):
    """Loss and metrics of hidden tokens, as of an epoch's validation."""
    if not task.compiled:
        task.compile()
    batches = task.dataset(rows, batch_size)
    return MetricsReport(task.evaluate(batches, return_dict=True, verbose=0))


def _report_vectors(task, rows, batch_size):
    return MetricsReport(task.score_rows(rows, batch_size))


def _labelled(reporter):
    """The same, which refuses rows without labels."""

    def checked(task, rows, batch_size):
        if rows.label_type == "none":
            raise DataError(f"{rows!r}: to evaluate, name the column of the label.")
        return reporter(task, rows, batch_size)

    return checked


REPORTERS = {
    TextClassifier: _labelled(_report_labels),
    Ensemble: _labelled(_report_labels),
    TokenClassifier: _labelled(_report_tags),
    QuestionAnswerer: _labelled(_report_answers),
    MultipleChoice: _labelled(_report_choices),
    RelationExtractor: _labelled(report_relations),
    TripleExtractor: _labelled(report_triples),
    TextEmbedder: _report_vectors,
    MaskedLM: _report_guesses,
    CausalLM: report_causal,
    Pretraining: _report_guesses,
    ReplacedTokenDetection: _report_guesses,
}


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
