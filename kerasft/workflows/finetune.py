"""Fine-tune a checkpoint on rows of files, and leave a run folder behind.

Settings in; a folder with the best checkpoint, its evaluation and the recipe out. All
that a user can get wrong is found before the first step. The trap: the run counts as
finished by its `metrics.json`, so that file is written last.
"""

from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Literal

import kerasft as kft
from kerasft._errors import SettingsError
from kerasft.training.settings import (
    AnswerSettings,
    ColumnSettings,
    Files,
    LabelSettings,
    ModelSettings,
    QuestionSettings,
    TaggedSettings,
    TaggerSettings,
    TextSettings,
    TrainingSettings,
    setting,
)
from kerasft.workflows import run_folder
from kerasft.workflows.console import RESULTS
from kerasft.workflows.estimate import print_estimate
from kerasft.workflows.evaluation import measured, write_report
from kerasft.workflows.flags import to_yaml
from kerasft.workflows.job import raise_if_foreign
from kerasft.workflows.jobs import JOBS
from kerasft.workflows.model_card import model_card
from kerasft.workflows.text_job import LABEL_TYPES
from kerasft.workflows.training_rows import read_training_rows


@dataclass(frozen=True, kw_only=True)
class FinetuneSettings(
    TextSettings,
    LabelSettings,
    TaggedSettings,
    QuestionSettings,
    ModelSettings,
    TaggerSettings,
    AnswerSettings,
    TrainingSettings,
):
    """Run."""

    checkpoint: str = setting(help="local folder, or name on the Hugging Face hub")
    train: Files = setting(help="rows to train on: .csv, .tsv, .jsonl or .parquet")
    out: str = setting(help="folder of the run, which will hold the checkpoint")
    task: str = setting("text_classifier", "what to train for")
    validation: list[str] | float | str | None = setting(
        0.1, "rows to choose the best epoch by, or the share of `train` to split off"
    )
    test: Files | None = setting(None, "rows to evaluate the best epoch on")
    on_bad_rows: Literal["error", "skip"] = setting(
        "error", "stop, or leave bad rows out and list them in rejected.csv"
    )
    problem: Literal["single_label", "multi_label", "regression"] | None = setting(
        None, "what is predicted; null: by the kind of label"
    )
    labels: list[str | int] | None = setting(
        None, "label names in order; null: those of `train`"
    )
    new_head: bool = setting(False, "start with a new last layer in any case")
    revision: str | None = setting(None, "branch, tag or commit on the hub")
    tensorboard: str | None = setting(
        None, "folder of the TensorBoard logs; null: tb_logs/ and the name of `out`"
    )

    @property
    def columns(self) -> ColumnSettings:
        """What the columns of the data files are."""
        columns = {f.name: vars(self)[f.name] for f in fields(ColumnSettings)}
        columns["label_type"] = self.label_type or LABEL_TYPES.get(self.problem)
        return ColumnSettings(**columns)

    def conflicts(self):
        """Settings that do not go together, one sentence each."""
        problems = super().conflicts()
        share = self.validation
        if isinstance(share, int | float) and not 0 < share < 1:
            problems.append(
                f"validation is {share}; as a share it is above 0, below 1."
            )
        if share is None and self.patience:
            problems.append("patience needs validation rows; give `validation`.")
        fitting = LABEL_TYPES.get(self.problem)
        if self.problem and self.label_type not in (None, fitting):
            problems.append(
                f"problem is {self.problem!r} and label_type {self.label_type!r}; it "
                f"goes with {fitting!r}. Leave one of them out."
            )
        return problems


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


def finetune(settings: FinetuneSettings) -> Run:
    """Fine-tune a checkpoint on your rows.

    Raises:
        KerasftError: settings, rows or a checkpoint that do not fit; nothing has been
            written then.
    """
    job = JOBS[settings.task]
    raise_if_foreign(settings, job, JOBS)
    folder = run_folder.claim(settings.out)
    rows = read_training_rows(settings, job)
    for leak in rows.leaks():
        RESULTS.print(f"Warning: {leak}", style="yellow")
    task, batches = _prepare(settings, rows, job)
    print_estimate(rows, task, batches.batches, settings.epochs)
    callbacks = _callbacks(task, settings, rows.parts.get("validation"), folder)
    recipe = replace(settings, **job.resolved(settings, rows))
    run_folder.begin(folder, to_yaml(recipe))
    history = _fit(task, batches, settings, rows, callbacks)
    if "validation" not in rows.parts:
        task.save_pretrained(folder)
    job.finish(task, rows, folder)
    reports = {
        name: measured(task, part, settings.batch_size)
        for name, part in rows.parts.items()
        if name != "train"
    }
    _write(folder, settings, rows, task, reports, history)
    for name, report in reports.items():
        RESULTS.print(f"\n{name}\n\n{report.text()}")
    RESULTS.print(f"\nThe run is in {folder}.")
    metrics = {name: report.metrics for name, report in reports.items()}
    return Run(folder, task, metrics, history)


def _prepare(settings, rows, job):
    """The compiled task and its training batches."""
    import keras

    from kerasft.tasks import TASKS

    kind = TASKS[settings.task]
    keras.utils.set_random_seed(settings.seed)
    with kft.strategy(settings.strategy).scope():
        task = kind.from_pretrained(
            settings.checkpoint,
            max_length=settings.max_length,
            precision=settings.precision,
            new_head=settings.new_head,
            revision=settings.revision,
            **job.arguments(settings, rows),
        )
        batches = task.dataset(
            rows.parts["train"],
            settings.batch_size,
            training=True,
            seed=settings.seed,
            tokens_per_batch=settings.tokens_per_batch,
        )
        options = job.options(settings, rows)
        _compile(task, settings, options, settings.epochs * len(batches.batches))
    return task, batches


def _compile(task, settings, options, total_steps):
    optimizer = kft.adamw(
        settings.learning_rate,
        total_steps=total_steps,
        warmup=settings.warmup,
        schedule=settings.schedule,
        weight_decay=settings.weight_decay,
        clip_norm=settings.clip_norm,
        layer_decay=settings.layer_decay,
    )
    if settings.jit_compile is not None:
        options = options | {"jit_compile": settings.jit_compile}
    task.compile(optimizer, micro_batches=settings.micro_batches, **options)


def _callbacks(task, settings, validation, folder):
    """What goes with the fit.

    Raises:
        SettingsError: `monitor` is nothing that the task measures.
    """
    from keras.callbacks import EarlyStopping

    from kerasft.training.callbacks import StopOnNaN

    logs = settings.tensorboard or f"tb_logs/{folder.resolve().name}"
    board = kft.TensorBoard(logs, validation=validation, hparams=_numbers(settings))
    if validation is None:
        return [StopOnNaN(), board]
    _raise_unless_measured(settings.monitor, task)
    best = kft.BestCheckpoint(folder, settings.monitor, restore=True)
    callbacks = [StopOnNaN(), best, board]  # In turn: the board reports on the best.
    if settings.patience:
        mode = "max" if best.sign > 0 else "min"
        stop = EarlyStopping(settings.monitor, patience=settings.patience, mode=mode)
        callbacks.append(stop)
    return callbacks


def _raise_unless_measured(monitor, task):
    names = ["loss"]
    for metric in task.default_metrics():
        told = metric.result()
        names += list(told) if isinstance(told, dict) else [metric.name]
    known = [f"val_{name}" for name in names] + names
    if monitor not in known:
        raise SettingsError(
            f"monitor is {monitor!r}; this task measures: {', '.join(known)}."
        )


def _fit(task, batches, settings, rows, callbacks):
    """Train, and give the values of each epoch by name."""
    options = {}
    if "validation" in rows.parts:
        validation = task.dataset(rows.parts["validation"], settings.batch_size)
        options["validation_data"] = validation
    trained = task.fit(
        batches,
        epochs=settings.epochs,
        callbacks=callbacks,
        verbose=1 if RESULTS.is_terminal else 2,
        **options,
    )
    return trained.history


def _numbers(settings):
    """What runs are compared by."""
    group = (*fields(TrainingSettings), *fields(ModelSettings))
    values = {f.name: vars(settings)[f.name] for f in group}
    return {k: v for k, v in values.items() if isinstance(v, int | float | str)}


def _write(folder, settings, rows, task, reports, history):
    from kerasft.training.plots import learning_curves

    write_report(folder, reports, {"learning_curves": learning_curves(history)})
    run_folder.write_json(folder / run_folder.HISTORY, history)
    card = model_card(settings, rows, task, reports)
    run_folder.write_text(folder / run_folder.CARD, card)
    metrics = {name: report.metrics for name, report in reports.items()}
    run_folder.write_json(folder / run_folder.METRICS, metrics)
