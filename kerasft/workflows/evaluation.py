"""Measure a task on rows, and write down what came out.

Rows in, a `Report` (metrics, text, figures) out; and the files of one.
"""

from pathlib import Path

from kerasft.workflows.run_folder import FIGURES, METRICS, REPORT, write_json, write_text


def measured(task, rows, batch_size: int):
    """The `Report` of a task on rows that have labels.

    Raises:
        DataError: rows without labels, or with labels that the task does not know.
    """
    from kerasft.training.report import report

    truth = task.label_array(rows)  # First, for the sake of a quick refusal.
    logits = task.predict_rows(rows, batch_size)
    return report(task.labels, task.problem, truth, logits)


def write_report(folder: Path, reports: dict):
    """Write `report.txt` and `figures/` of {part: Report} into an existing folder."""
    texts = [f"{name}\n\n{one.text()}" for name, one in reports.items()]
    write_text(folder / REPORT, "\n\n".join(texts) + "\n")
    (folder / FIGURES).mkdir(exist_ok=True)
    for part, one in reports.items():
        for name, figure in one.figures().items():
            figure.savefig(folder / FIGURES / f"{part}-{name}.png", dpi=120)


def write_metrics(folder: Path, content: dict):
    """Write `metrics.json`, by which the folder counts as finished."""
    write_json(folder / METRICS, content)
