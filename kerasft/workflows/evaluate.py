"""Measure a trained checkpoint on rows that have labels.

Settings in; a table on the screen, and `metrics.json`, `report.txt` and figures out.
"""

from dataclasses import dataclass
from pathlib import Path

from kerasft._errors import SettingsError
from kerasft.checkpoints.folders import atomic_folder
from kerasft.training.settings import Files, at_least, setting
from kerasft.workflows.console import RESULTS
from kerasft.workflows.data_overrides import Answered, DataOverrides, Labels
from kerasft.workflows.evaluation import write_report
from kerasft.workflows.run_folder import (
    FIGURES,
    METRICS,
    REPORT,
    raise_unless_writable,
    write_json,
)
from kerasft.workflows.trained import open_run


@dataclass(frozen=True, kw_only=True)
class EvaluateSettings(DataOverrides, Labels, Answered):
    """Evaluation."""

    run: str = setting(
        help="run folder, or any checkpoint with a head", positional=True
    )
    data: Files = setting(help="rows with labels: .csv, .tsv, .jsonl or .parquet")
    out: str | None = setting(
        None, "folder of the results; null: evaluation-<name of the data> in the run"
    )
    batch_size: int = setting(32, "rows worked on at once", at_least(1))


def evaluate(settings: EvaluateSettings) -> dict:
    """Measure a trained checkpoint on rows with labels.

    Returns:
        Metric -> value.

    Raises:
        KerasftError: rows or a checkpoint that do not fit.
    """
    first = Path(settings.data if isinstance(settings.data, str) else settings.data[0])
    out = _folder(settings, first.stem)
    run = open_run(settings.run)
    rows = run.job.read(settings.data, run.columns(settings))
    task = run.load(settings)
    report = run.job.report(task, rows, settings.batch_size, settings, run.recipe)
    with atomic_folder(out, METRICS, (METRICS, REPORT, FIGURES)) as folder:
        write_report(folder, {first.stem: report})
        write_json(folder / METRICS, {"rows": len(rows), **report.metrics})
    RESULTS.print(report.text())
    RESULTS.print(f"\nWritten to {out}.")
    return report.metrics


def _folder(settings, name):
    """Where the results go."""
    run = Path(settings.run).expanduser()
    if settings.out is None and not run.is_dir():
        raise SettingsError(
            f"{run} is no local folder. Check the path; for a name on the Hugging Face "
            "hub give --out for the results."
        )
    out = Path(settings.out or run / f"evaluation-{name}").expanduser()
    raise_unless_writable(out)
    return out
