"""Train a task on rows, and leave a run folder behind, whatever the task is.

Settings of a run in; a folder with the best checkpoint, its evaluation and the recipe
out. All that a user can get wrong is found before the first step. A run that was ended
before its time goes on. The trap: a run counts as finished by its `metrics.json`, so
that file is written last.
"""

from dataclasses import dataclass, fields, replace
from pathlib import Path

import kerasft as kft
from kerasft._errors import SettingsError
from kerasft.training.settings import LossSettings, ModelSettings, TrainingSettings
from kerasft.workflows import run_folder
from kerasft.workflows.console import RESULTS
from kerasft.workflows.estimate import print_estimate
from kerasft.workflows.evaluation import write_report
from kerasft.workflows.flags import to_yaml
from kerasft.workflows.model_card import model_card
from kerasft.workflows.training_rows import read_training_rows


@dataclass(frozen=True)
class Run:
    """What a run came to.

    Args:
        folder: the run folder.
        task: the task with the weights of the best epoch.
        metrics: part ("validation", "test") -> metric -> value.
        history: metric -> value of each epoch.
    """

    folder: Path
    task: object
    metrics: dict
    history: dict


def trained_run(settings, compared: dict | None = None) -> Run:
    """Train as `RunSettings` say, and write all that a run folder holds.

    An unfinished run in the folder goes on where it was.

    Args:
        settings: of the run.
        compared: what the HParams tab of TensorBoard shows; None: the numbers among
            the settings.

    Raises:
        KerasftError: settings, rows or a checkpoint that do not fit; nothing has been
            written then.
    """
    folder = run_folder.claim(settings.out)  # Before seconds of imports.
    from kerasft.training.devices import is_chief  # Not for `--help`.

    strategy = kft.strategy(settings.strategy)  # Before TensorFlow does anything else.
    RESULTS.quiet = not is_chief(strategy)
    try:
        with run_folder.place_of(folder, is_chief(strategy)) as place:
            return _trained(settings, strategy, folder, place, compared)
    finally:
        RESULTS.quiet = False


def _trained(settings, strategy, folder, place, compared):
    """The run.

    Args:
        settings: of the run.
        strategy: to train in.
        folder: of the run.
        place: where this process writes; the same, but of workers who are not chief.
        compared: as of `trained_run`.
    """
    from kerasft.workflows import resuming

    job = settings.job
    rows = read_training_rows(settings, job)
    for leak in rows.leaks():
        RESULTS.print(f"Warning: {leak}", style="yellow")
    task, dataset, settings = _prepare(settings, strategy, rows, job)
    print_estimate(rows, task, dataset, settings.epochs)
    asked = replace(settings, restart=False, allow_changes=False)
    recipe = replace(asked, **job.resolved(settings, rows))
    told = {"hparams": compared or _numbers(settings), "recipe": to_yaml(recipe)}
    callbacks = _callbacks(task, settings, rows, job, folder, told)
    if job.resumes:
        callbacks.append(resuming.resume_of(settings, strategy, folder, recipe))
    run_folder.begin(place, to_yaml(recipe))
    history = job.fit(task, dataset, settings, rows, callbacks)
    if not any(isinstance(one, kft.BestCheckpoint) for one in callbacks):
        task.save_trained(place)
    job.finish(task, rows, place)
    reports = {
        name: job.report(task, part, settings.batch_size, settings)
        for name, part in rows.parts.items()
        if name != "train"
    }
    _write(place, settings, rows, task, reports, history)
    if place == folder:
        resuming.clear(folder)
    for name, report in reports.items():
        RESULTS.print(f"\n{name}\n\n{report.text()}")
    RESULTS.print(f"\nThe run is in {folder}.")
    metrics = {name: report.metrics for name, report in reports.items()}
    return Run(folder, task, metrics, history)


def _prepare(settings, strategy, rows, job):
    """The compiled task, its training batches, if it is fed such, and all settings."""
    import keras

    keras.utils.set_random_seed(settings.seed)
    with strategy.scope():
        task = job.load(settings, rows)
        adapt(task, settings)
        rate = settings.learning_rate or task.usual_learning_rate
        settings = replace(settings, learning_rate=rate)
        return task, job.prepare(task, settings, rows), settings


def adapt(task, settings):
    """Put the adapter on a task that is to be trained, if one is asked for.

    Raises:
        SettingsError: the model has no place for it.
    """
    if getattr(settings, "peft", None) is None:
        return
    if settings.quantize:
        task.quantize_base(settings.quantize)
    task.add_adapter(settings.method)


def _callbacks(task, settings, rows, job, folder, told):
    """What goes with the fit.

    Raises:
        SettingsError: `monitor` is nothing that the task measures.
    """
    from keras.callbacks import EarlyStopping

    from kerasft.training.callbacks import StopOnNaN

    logs = run_folder.logs_of(settings.tensorboard, folder)
    validation = rows.parts.get("validation") if job.keeps_best else None
    more = job.callbacks(task, settings, rows, logs)
    told |= {"histograms": settings.histograms, "profile": settings.profile}
    board = kft.TensorBoard(logs, validation=validation, **told)
    if validation is None:
        return [StopOnNaN(), board, *more]
    scores = job.scores(validation)
    _raise_unless_measured(settings.monitor, job.metrics(task, settings, rows), scores)
    best = kft.BestCheckpoint(folder, settings.monitor, restore=True)
    callbacks = [StopOnNaN(), best, board]  # In turn: the board reports on the best.
    if scores:
        callbacks.insert(0, kft.RowScores(validation, settings.batch_size))
    if settings.patience:
        mode = "max" if best.sign > 0 else "min"
        stop = EarlyStopping(settings.monitor, patience=settings.patience, mode=mode)
        callbacks.append(stop)
    return callbacks + more


def _raise_unless_measured(monitor, metrics, scores):
    """Refuse to monitor what is not measured.

    Args:
        monitor: what is asked for.
        metrics: of Keras, a list, or lists by output.
        scores: names of what is measured on validation rows alone.
    """
    parts = metrics if isinstance(metrics, dict) else {"": metrics}
    names = ["loss"]
    for part, some in parts.items():
        prefix = part and f"{part}_"
        for metric in some:
            told = metric.result()
            told = list(told) if isinstance(told, dict) else [metric.name]
            names += [prefix + name for name in told]
    known = [f"val_{name}" for name in dict.fromkeys([*names, *scores])] + names
    if monitor not in known:
        raise SettingsError(
            f"monitor is {monitor!r}; this task measures: {', '.join(known)}."
        )


def _numbers(settings):
    """What runs are compared by."""
    groups = (TrainingSettings, ModelSettings, LossSettings)
    names = [f.name for group in groups for f in fields(group)]
    values = {name: vars(settings).get(name) for name in names}
    return {k: v for k, v in values.items() if isinstance(v, int | float | str)}


def _write(folder, settings, rows, task, reports, history):
    from kerasft.training.plots import learning_curves

    write_report(folder, reports, {"learning_curves": learning_curves(history)})
    run_folder.write_json(folder / run_folder.HISTORY, history)
    card = model_card(settings, rows, task, reports)
    run_folder.write_text(folder / run_folder.CARD, card)
    metrics = {name: report.metrics for name, report in reports.items()}
    run_folder.write_json(folder / run_folder.METRICS, metrics)
