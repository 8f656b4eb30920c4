"""A run that was ended before its time goes on when its command is given again.

Its folder holds the recipe and, in `resume/`, snapshots of the fit, which go when the
run is finished.
"""

import shutil
from dataclasses import asdict
from pathlib import Path

import kerasft as kft
from kerasft._errors import SettingsError
from kerasft.training import snapshot
from kerasft.training.devices import is_chief, wait_for_all
from kerasft.training.run_lock import FILE, RunLock
from kerasft.workflows import run_folder
from kerasft.workflows.flags import from_yaml
from kerasft.workflows.run_settings import ResumeSettings

FOLDER = "resume"
ASIDE = ("out", "tensorboard", *ResumeSettings.__annotations__)
"""Settings that a run may go on with others of."""


def resume_of(settings, strategy, folder: Path, recipe):
    """The callback that keeps the run's fit, and goes on with an earlier one.

    Args:
        settings: of the run.
        strategy: that it trains in.
        folder: of the run.
        recipe: the same settings, with what the rows have made known.

    Raises:
        SettingsError: the run was begun with other settings, all of them listed; or it
            is to be begun anew while another process works on it.
    """
    place = folder / FOLDER
    if settings.restart:
        if is_chief(strategy):
            lock = RunLock(place)  # Else what another process needs would go.
            try:
                clear(folder)
            finally:
                lock.release()
        wait_for_all(strategy)  # None may find what is about to go.
    elif snapshot.all_in(place) and not settings.allow_changes:
        _raise_if_changed(folder, recipe)
    return kft.Resume(
        place,
        save_steps=settings.save_steps,
        save_minutes=settings.save_minutes,
        allow_changes=settings.allow_changes,
    )


def clear(folder: Path):
    """Delete the snapshots of a run, and their folder if nothing else is in it."""
    place = folder / FOLDER
    for path in snapshot.all_in(place):
        shutil.rmtree(path)
    (place / FILE).unlink(missing_ok=True)
    if place.is_dir() and not any(place.iterdir()):
        place.rmdir()


def _raise_if_changed(folder, recipe):
    path = folder / run_folder.RECIPE
    then, now = asdict(from_yaml(type(recipe), path)), asdict(recipe)
    changed = [
        f"{name}: was {then[name]}, is {now[name]}"
        for name in now
        if name not in ASIDE and then[name] != now[name]
    ]
    if changed:
        told = "\n  ".join(changed)
        raise SettingsError(
            f"out is {folder}, which holds an unfinished run with other settings:\n  "
            f"{told}\nGive the command as it was (`--config {path}`) to go on, "
            "--restart to begin it anew, --allow-changes to go on with these, or "
            "another folder."
        )
