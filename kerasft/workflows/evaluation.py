"""Measure a task on rows, and write down what came out.

Rows in, a `Report` (metrics, text, figures) out; and the files of one.
"""

import re
from pathlib import Path

from kerasft.workflows.run_folder import FIGURES, REPORT, write_text


def measured(task, rows, batch_size: int):
    """The `Report` of a task on rows that have labels.

    Raises:
        DataError: rows without labels, or with labels that the task does not know.
    """
    from kerasft.training.report import report_on

    return report_on(task, rows, batch_size)


def write_report(folder: Path, reports: dict, figures: dict | None = None):
    """Write `report.txt` and `figures/` into an existing folder.

    Args:
        folder: where to.
        reports: part of the data -> Report.
        figures: name -> figure that belongs to no part.
    """
    from kerasft.training.plots import figure_to_png

    texts = [f"{name}\n\n{report.text()}\n" for name, report in reports.items()]
    write_text(folder / REPORT, "\n".join(texts))
    figures = dict(figures or {})
    for part, report in reports.items():
        named = report.figures().items()
        figures |= {f"{part}_{name}": figure for name, figure in named}
    (folder / FIGURES).mkdir(exist_ok=True)
    for name, figure in figures.items():
        plain = re.sub(r"[^\w.-]", "_", name)  # Names of labels may be in it.
        (folder / FIGURES / f"{plain}.png").write_bytes(figure_to_png(figure))
