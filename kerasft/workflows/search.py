"""Search settings by KerasTuner: which learning rate, batch size, rank, ... is best.

A recipe and a space in; the best run, its recipe and a table of all trials out (what
lies where: `search_results`). One process holds KerasTuner's oracle and hands trials to
`jobs` processes, one each: so no memory grows, and what kills a trial kills no search.
Other machines may ask the oracle, too: `search_cluster`.
"""

from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal

from kerasft._errors import SettingsError
from kerasft.training.settings import at_least, setting
from kerasft.workflows import run_folder
from kerasft.workflows.console import RESULTS, as_text
from kerasft.workflows.finetune import FinetuneSettings
from kerasft.workflows.flags import to_yaml
from kerasft.workflows.job import raise_if_foreign
from kerasft.workflows.jobs import JOBS
from kerasft.workflows.search_cluster import CHIEF, WORKER, role, serve
from kerasft.workflows.search_oracle import oracle_of
from kerasft.workflows.search_results import (
    BEST_RECIPE,
    SETTINGS,
    Found,
    finish,
    other_settings,
)
from kerasft.workflows.search_space import Space
from kerasft.workflows.search_work import Search
from kerasft.workflows.search_worker import Worker
from kerasft.workflows.training_rows import read_training_rows
from kerasft.workflows.trial import direction_of


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
) -> Found | None:
    """Search the settings that score best on validation rows.

    Killed, it goes on where it was by the same call; a finished one is not overwritten.
    From Python the space may also be a function of KerasTuner's `hp`.

    Args:
        settings: of the runs; `SearchSettings` may have a space already.
        space: as in a recipe, or a function that takes `hp` and gives a dict of
            settings.
        **options: of `SearchSettings`: `algorithm`, `trials`, `jobs`, `keep_all`.

    Returns:
        What was found; on a worker of another machine None.

    Raises:
        KerasftError: settings, space or rows that do not fit, before the first trial;
            or no trial came to its end.
    """
    settings = _with_options(settings, space, options)
    run, place = settings.run, role()
    folder = None if place == WORKER else _claim(settings)  # Quick, so first.
    raise_if_foreign(run, run.job, JOBS.values())
    sign = direction_of(run.monitor)
    declare = space
    if not callable(space):
        checked = Space(settings.space, run)
        declare = checked.declare
        if settings.algorithm == "grid":
            checked.raise_unless_countable()
    if place == WORKER:
        return Worker(settings, declare, sign).work()
    _raise_unless_scored(run)
    oracle, tuner = oracle_of(settings, declare, sign, folder)
    run_folder.write_text(folder / SETTINGS, to_yaml(settings))
    _write_experiment(settings, oracle, folder)
    if place == CHIEF:
        serve(tuner)
    found = Search(settings, declare, sign, folder, oracle).work()
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
    folder = run_folder.folder_of(settings.out)
    if (folder / BEST_RECIPE).exists():
        raise SettingsError(
            f"out is {settings.out}, which holds a finished search. Choose another "
            "folder, or remove this one first."
        )
    if not (folder / SETTINGS).exists():
        if folder.exists() and any(folder.iterdir()):
            raise SettingsError(
                f"out is {settings.out}, which is not empty and no search. Choose "
                "another folder."
            )
        return folder
    differing = other_settings(folder, settings)
    if differing:
        raise SettingsError(
            f"out is {settings.out}, which holds an unfinished search with other "
            f"settings ({'; '.join(differing)}). Give the same, or choose another "
            "folder."
        )
    return folder


def _raise_unless_scored(run):
    """Refuse rows that cannot be read, or no validation rows."""
    if run.validation is None and run.job.keeps_best:
        raise SettingsError(
            "A search scores trials on validation rows; give `validation`."
        )
    read_training_rows(run, run.job)
