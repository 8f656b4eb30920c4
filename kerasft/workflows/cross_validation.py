"""Cross-validation: one run for each fold, their mean and spread, and the ensemble.

    fold-1/ fold-2/ ...   a run each; a finished one is not trained again
    recipe.yaml           the settings, for `kerasft finetune --config`
    report.txt            the table of the folds, and the ensemble on `test`
    metrics.json          mean, spread and folds; written last: it is finished

Each fold is a recipe of its own (`--folds 5 --fold 2`). The trap: the ensemble has
seen every row of `train`, so it is measured on `test` rows alone.
"""

import gc
import json
from dataclasses import replace
from pathlib import Path
from statistics import fmean, stdev

from rich.table import Table

from kerasft._errors import SettingsError
from kerasft.workflows import run_folder
from kerasft.workflows.console import RESULTS, as_text
from kerasft.workflows.evaluation import write_report
from kerasft.workflows.flags import from_yaml, to_yaml
from kerasft.workflows.training import Run, trained_run


def cross_validated(settings) -> Run:
    """Train all folds that are not finished yet, and sum them up.

    Returns:
        The `Run`: its task is the `Ensemble` of the folds (None for tasks that have
        none), its metrics are "validation" (means), "spread" and, with `test` rows,
        "test" (of the ensemble).

    Raises:
        KerasftError: settings, rows or a checkpoint that do not fit.
    """
    folder = run_folder.claim(settings.out)
    folds = [fold_settings(settings, folder, k) for k in range(1, settings.folds + 1)]
    for fold in folds:
        if (Path(fold.out) / run_folder.METRICS).exists():
            RESULTS.print(f"{fold.out} is finished.")
            continue
        RESULTS.print(f"\nfold {fold.fold} of {fold.folds}\n")
        trained_run(fold)
        gc.collect()
    recipe = from_yaml(type(settings), Path(folds[0].out) / run_folder.RECIPE)
    resolved = replace(
        recipe, fold=None, out=settings.out, tensorboard=settings.tensorboard
    )
    run_folder.begin(folder, to_yaml(resolved))
    found = [_metrics(fold) for fold in folds]
    metrics = summary([one["validation"] for one in found])
    table = fold_table(metrics)
    task, reports = _ensemble_report(resolved, folder)
    if settings.test is not None:
        tested = summary([one["test"] for one in found])
        metrics |= {"test_mean": tested["validation"], "test_spread": tested["spread"]}
    metrics |= {name: report.metrics for name, report in reports.items()}
    told = {"folds": _Told(table, metrics), **reports}
    write_report(folder, told)
    run_folder.write_json(folder / run_folder.METRICS, metrics)
    RESULTS.print(f"\n{as_text(table)}")
    for name, report in reports.items():
        RESULTS.print(f"\nensemble on {name}\n\n{report.text()}")
    RESULTS.print(f"\nThe folds are in {folder}.")
    return Run(folder, task, metrics, {})


def fold_settings(settings, folder: Path, fold: int):
    """The recipe of one fold; its board stands beside those of the others."""
    logs = run_folder.logs_of(settings.tensorboard, folder)
    name = f"fold-{fold}"
    return replace(
        settings, fold=fold, out=str(folder / name), tensorboard=f"{logs}/{name}"
    )


def summary(folds: list[dict]) -> dict:
    """Mean, spread (standard deviation of the folds, over n - 1) and all folds.

    Args:
        folds: metric -> value of each.
    """
    known = [one.get for one in folds]  # What is no number there is null.
    names = [n for n in folds[0] if all(get(n) is not None for get in known)]
    columns = {name: [float(one[name]) for one in folds] for name in names}
    return {
        "validation": {name: fmean(column) for name, column in columns.items()},
        "spread": {name: stdev(column) for name, column in columns.items()},
        "folds": folds,
    }


def fold_table(metrics: dict) -> Table:
    """One line a metric that is not of one label, one column a fold."""
    folds = metrics["folds"]
    names = [f"fold {k}" for k in range(1, len(folds) + 1)]
    table = Table("", "mean", "spread", *names, box=None)
    for name, mean in metrics["validation"].items():
        if "/" not in name:
            values = [mean, metrics["spread"][name], *(one[name] for one in folds)]
            table.add_row(name, *(f"{value:.4f}" for value in values))
    return table


def ensemble_of(kind, place):
    """What loads the folds in a folder as one.

    Raises:
        SettingsError: tasks of this kind have no ensemble.
    """
    from kerasft.tasks import TextClassifier
    from kerasft.tasks.ensemble import Ensemble

    if kind is not TextClassifier:
        raise SettingsError(
            f"{place} holds the folds of a {kind.__name__}, which has no ensemble. "
            f"Name one of them: {place}/fold-1."
        )
    return Ensemble


def _metrics(fold):
    text = (Path(fold.out) / run_folder.METRICS).read_text("utf-8")
    return json.loads(text)


def _ensemble_report(settings, folder):
    """The ensemble, or None; and its report on the test rows, if there are any."""
    from kerasft.tasks import TASKS, TextClassifier

    if TASKS[settings.job.task] is not TextClassifier:
        return None, {}
    options = {"max_length": settings.max_length, "precision": settings.precision}
    task = ensemble_of(TextClassifier, folder).from_pretrained(folder, **options)
    if settings.test is None:
        return task, {}
    job = settings.job
    rows = job.read(settings.test, settings.columns, settings.on_bad_rows)
    return task, {"test": job.report(task, rows, settings.batch_size, settings)}


class _Told:
    """The table of the folds, told as a `Report` is."""

    def __init__(self, table, metrics):
        self.table, self.metrics = table, metrics

    def text(self):
        return as_text(self.table)

    def figures(self):
        return {}
