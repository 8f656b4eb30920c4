"""Search settings by KerasTuner: which learning rate, batch size, rank, ... is best.

A recipe and a space in; the best run, its recipe and a table of all trials out (what
lies where: `search_results`). One process holds KerasTuner's oracle and hands trials to
`jobs` processes, one each: so no memory grows, what kills a trial kills no search, and
no port is open. The trap: what lies in the folder must tell at any moment how to go
on, for a search takes hours and may be killed.
"""

import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal

from kerasft._errors import SettingsError
from kerasft.training.settings import at_least, setting
from kerasft.workflows import run_folder
from kerasft.workflows.console import RESULTS, as_text
from kerasft.workflows.finetune import FinetuneSettings
from kerasft.workflows.flags import changed, to_yaml
from kerasft.workflows.job import raise_if_foreign
from kerasft.workflows.jobs import JOBS
from kerasft.workflows.search_oracle import oracle_of, values_of
from kerasft.workflows.search_results import (
    BEST_RECIPE,
    Found,
    finish,
    found_in,
    remove_weights,
    trial_folder,
)
from kerasft.workflows.search_screen import Screen
from kerasft.workflows.search_space import Space
from kerasft.workflows.training_rows import read_training_rows
from kerasft.workflows.trial import direction_of
from kerasft.workflows.trial_processes import places, start

SETTINGS = "search.yaml"
MAY_DIFFER = ("trials", "jobs", "keep_all")
"""Settings that a search that goes on may have others of."""
PAUSE = 0.2  # seconds between two looks at the trials


@dataclass(frozen=True, kw_only=True)
class SearchSettings(FinetuneSettings):
    """Search."""

    space: dict[str, Any] | None = setting(
        None,
        "what to vary, best in a recipe: setting -> list of values, or a range with "
        "min, max and, if wanted, sampling (linear, log) and step",
    )
    algorithm: Literal["random", "grid", "bayesian", "hyperband"] = setting(
        "random", "what is tried next; hyperband gives good ones more of `epochs`"
    )
    trials: int = setting(12, "the most trials", at_least(1))
    jobs: int = setting(1, "trials at work at once, on GPUs dealt out", at_least(1))
    keep_all: bool = setting(False, "keep the weights of all trials")

    def conflicts(self):
        """Settings that do not go together, one sentence each."""
        problems = super().conflicts()
        if self.folds:
            problems.append("a search has no folds; leave out `folds`.")
        if self.algorithm == "hyperband" and "epochs" in (self.space or ()):
            problems.append(
                "hyperband chooses the epochs, up to `epochs`; take them out of the "
                "space."
            )
        return problems

    @property
    def run(self) -> FinetuneSettings:
        """The settings of a run, which the space varies."""
        names = [f.name for f in fields(FinetuneSettings)]
        return FinetuneSettings(**{name: getattr(self, name) for name in names})


def search(
    settings: FinetuneSettings, space: dict | Callable | None = None, **options
) -> Found:
    """Search the settings that score best on validation rows.

    Killed, it goes on where it was by the same call; a finished one is not overwritten.
    From Python the space may also be a function of KerasTuner's `hp`.

    Args:
        settings: of the runs; `SearchSettings` may have a space already.
        space: as in a recipe, or a function that takes `hp` and gives a dict of
            settings.
        **options: of `SearchSettings`: `algorithm`, `trials`, `jobs`, `keep_all`.

    Raises:
        KerasftError: settings, space or rows that do not fit, before the first trial;
            or no trial came to its end.
    """
    settings = _with_options(settings, space, options)
    run = settings.run
    raise_if_foreign(run, run.job, JOBS.values())
    sign = direction_of(run.monitor)
    declare = space
    if not callable(space):
        checked = Space(settings.space, run)
        declare = checked.declare
        if settings.algorithm == "grid":
            checked.raise_unless_countable()
    folder = _claim(settings)
    _raise_unless_scored(run)
    oracle = oracle_of(settings, declare, sign, folder)
    run_folder.write_text(folder / SETTINGS, to_yaml(settings))
    _write_experiment(settings, oracle, folder)
    found = _Search(settings, declare, sign, folder, oracle).work()
    if found.best is None:
        reasons = "\n".join(f"trial {t['id']}: {t['reason']}" for t in found.trials)
        raise SettingsError(
            f"No trial came to its end, so there is no best one.\n{reasons}\nMend the "
            f"space, and remove {folder} to begin again."
        )
    finish(found, FinetuneSettings)
    RESULTS.print(f"\n{as_text(found.table())}")
    RESULTS.print(
        f"\nThe best run is in {folder / 'best'}. Again, or with other settings:\n"
        f"  kerasft finetune --config {found.recipe} --out FOLDER"
    )
    return found


class _Search:
    """The trials of one search, until the oracle has no more."""

    def __init__(self, settings, declare, sign, folder, oracle):
        self.settings, self.declare, self.sign = settings, declare, sign
        self.folder, self.oracle = folder, oracle
        self.places = places(settings.jobs)
        self.running = {}  # place -> Running
        self.refusals = set()

    def work(self) -> Found:
        """Run them."""
        most = min(self.settings.trials, getattr(self.oracle, "size", 10**9))
        with Screen(most, self.settings.jobs) as screen:
            screen.go_on(self._found())
            try:
                while self._begin() or self.running:
                    screen.show(self._found())
                    if not self._end():
                        time.sleep(PAUSE)
                screen.show(self._found())
            finally:
                for one in self.running.values():
                    one.stop()
        return self._found()

    def _begin(self):
        """Give each free place a trial; whether one was given."""
        began = False
        for place, variables in enumerate(self.places):
            if place in self.running:
                continue
            trial = self.oracle.create_trial(f"place {place}")
            if trial.status != "RUNNING":
                continue
            recipe, values = self._recipe(trial)
            self.running[place] = start(trial, recipe, values, variables)
            began = True
        return began

    def _recipe(self, trial):
        """The settings of a trial's run, and the values that people are told."""
        run = self.settings.run
        changes = dict(self.declare(trial.hyperparameters))
        place = trial_folder(self.folder, trial.trial_id)
        logs = run_folder.logs_of(run.tensorboard, self.folder)
        changes |= {"out": str(place), "tensorboard": f"{logs}/{trial.trial_id}"}
        if self.settings.algorithm == "hyperband":
            changes["epochs"] = trial.hyperparameters.values["tuner/epochs"]
        return changed(run, changes), values_of(trial)

    def _end(self):
        """Tell the oracle of trials that have ended; whether there were any."""
        ended = {
            place: (one.trial, result)
            for place, one in self.running.items()
            if (result := one.result()) is not None
        }
        for place, (trial, result) in ended.items():
            del self.running[place]
            score = result.get("score")
            if score is None:
                trial.status, trial.message = "FAILED", result["reason"]
            else:
                trial.status = "COMPLETED"
                monitor = self.settings.monitor
                self.oracle.update_trial(trial.trial_id, {monitor: score}, step=0)
            self.oracle.end_trial(trial)
            found = self._found()
            found.write()
            if not self.settings.keep_all:
                remove_weights(found)
            self._stop_if_refused(result, found)
        return bool(ended)

    def _stop_if_refused(self, result, found):
        """What refuses the first two trials in the same words is no trial's value."""
        self.refusals.add(result["reason"] if result.get("refused") else None)
        ended = [one for one in found.trials if one["state"] != "running"]
        if len(ended) != 2 or len(self.refusals) > 1 or None in self.refusals:
            return
        for one in self.running.values():
            one.stop()
        shutil.rmtree(self.folder)  # It holds nothing but refusals.
        raise SettingsError(
            f"The first two trials were refused, as all would be: {ended[0]['reason']}"
        )

    def _found(self):
        told = {name: values_of(trial) for name, trial in self.oracle.trials.items()}
        monitor = self.settings.monitor
        return found_in(self.oracle, self.folder, monitor, self.sign, told)


def _write_experiment(settings, oracle, folder):
    from kerasft.training.experiment import write_experiment

    columns = {one.name: one.default for one in oracle.get_space().space}
    if settings.algorithm == "hyperband":
        columns["epochs"] = settings.epochs
    logs = Path(run_folder.logs_of(settings.tensorboard, folder))
    write_experiment(logs, columns, f"score/{settings.monitor}")


def _with_options(settings, space, options):
    """`SearchSettings` of what was given."""
    given = {f.name: getattr(settings, f.name) for f in fields(settings)}
    if space is not None:
        given["space"] = None if callable(space) else space
    known = [f.name for f in fields(SearchSettings)]
    strange = [name for name in options if name not in known]
    if strange:
        raise SettingsError(
            f"search takes no {', '.join(strange)}; see SearchSettings."
        )
    return SearchSettings(**(given | options))


def _claim(settings):
    """The folder of a search that begins or goes on.

    Raises:
        SettingsError: it holds a finished search, one with other settings, or
            something else.
    """
    folder = Path(settings.out).expanduser()
    run_folder.raise_unless_writable(folder)
    if folder.exists() and not folder.is_dir():
        raise SettingsError(f"out is {settings.out}, which is a file. Name a folder.")
    if (folder / BEST_RECIPE).exists():
        raise SettingsError(
            f"out is {settings.out}, which holds a finished search. Choose another "
            "folder, or remove this one first."
        )
    before = folder / SETTINGS
    if not before.exists():
        if folder.exists() and any(folder.iterdir()):
            raise SettingsError(
                f"out is {settings.out}, which is not empty and no search. Choose "
                "another folder."
            )
        return folder
    lines = [
        set(_compared(text)) for text in (before.read_text("utf-8"), to_yaml(settings))
    ]
    if lines[0] != lines[1]:
        raise SettingsError(
            f"out is {settings.out}, which holds an unfinished search with other "
            f"settings ({'; '.join(sorted(lines[0] - lines[1]))}). Give the same, or "
            "choose another folder."
        )
    return folder


def _compared(text):
    return [line for line in text.split("\n") if line.split(":")[0] not in MAY_DIFFER]


def _raise_unless_scored(run):
    """Refuse rows that cannot be read, or no validation rows."""
    if run.validation is None and run.job.keeps_best:
        raise SettingsError(
            "A search scores trials on validation rows; give `validation`."
        )
    read_training_rows(run, run.job)
