"""What a search has found: the table, the files, and the best run in its place.

search.yaml    the settings, space and all
oracle/        what KerasTuner knows, so that a search goes on where it was killed
trials/        a run folder each, with log.txt and result.json; of the best alone
               the weights are kept
trials.json    values, state, score and reason of each
scores.png     score over each searched setting
best/          the run folder of the best trial
best.yaml      its recipe, for `kerasft finetune --config`; written last
"""

import shutil
from dataclasses import dataclass, replace
from pathlib import Path

from rich.table import Table

from kerasft.checkpoints.json_files import read_json
from kerasft.workflows import run_folder
from kerasft.workflows.flags import from_yaml, to_yaml
from kerasft.workflows.trial import RESULT

SETTINGS = "search.yaml"
MAY_DIFFER = ("trials", "jobs", "keep_all")
"""Settings that a search that goes on may have others of."""
TRIALS, BEST, BEST_RECIPE = "trials.json", "best", "best.yaml"
PLOT = "scores.png"
WEIGHTS = "*.safetensors"


@dataclass(frozen=True)
class Found:
    """What a search came to.

    Args:
        folder: of the search.
        trials: dicts of `id`, `values`, `state` ("running", "completed", "failed"),
            `score`, `epoch`, `seconds` and `reason`, in the order they began.
        monitor: what the score is.
        sign: 1 where more is better, -1 where less is.
    """

    folder: Path
    trials: list
    monitor: str
    sign: int

    @property
    def best(self) -> dict | None:
        """The trial with the best score, of equal ones the first; None without any."""
        scored = [one for one in self.trials if one["state"] == "completed"]
        return max(scored, key=lambda one: self.sign * one["score"], default=None)

    @property
    def recipe(self) -> Path:
        """The best recipe."""
        return self.folder / BEST_RECIPE

    def settings(self, **changes):
        """`FinetuneSettings` of the best trial; `out` must be among the changes."""
        from kerasft.workflows.finetune import FinetuneSettings

        best = from_yaml(FinetuneSettings, self.folder / BEST / run_folder.RECIPE)
        return replace(best, **{"tensorboard": None} | changes)

    def table(self) -> Table:
        """All trials, a line each; the best has a star."""
        names = list(dict.fromkeys(n for one in self.trials for n in one["values"]))
        table = Table("trial", *names, self.monitor, "state", "seconds", "", box=None)
        best = self.best
        for one in self.trials:
            values = [_short(one["values"].get(name, "")) for name in names]
            score = "" if one["score"] is None else f"{one['score']:.5g}"
            seconds = "" if one["seconds"] is None else f"{one['seconds']:.0f}"
            about = one["reason"] or ("*" if one is best else "")
            table.add_row(one["id"], *values, score, one["state"], seconds, about)
        return table

    def write(self):
        """Write `trials.json`."""
        content = {
            "monitor": self.monitor,
            "better": "more" if self.sign > 0 else "less",
            "best": self.best and self.best["id"],
            "trials": self.trials,
        }
        run_folder.write_json(self.folder / TRIALS, content)


def found_in(oracle, folder: Path, monitor: str, sign: int, told: dict) -> Found:
    """What an oracle of KerasTuner, and the folders of its trials, know.

    Args:
        oracle: with its trials.
        folder: of the search.
        monitor: what the score is.
        sign: 1 where more is better, -1 where less is.
        told: trial -> values, as people are told them, in the order they began;
            workers may have begun others since.
    """
    trials = []
    for name in told:
        state = oracle.trials[name].status
        ended = state in ("COMPLETED", "FAILED")
        place = trial_folder(folder, name)
        path = (place if place.exists() else folder / BEST) / RESULT
        result = read_json(path) if ended and path.exists() else {}
        trials.append(
            {
                "id": name,
                "values": told[name],
                "state": state.lower(),
                "score": result.get("score") if state == "COMPLETED" else None,
                "epoch": result.get("epoch"),
                "seconds": result.get("seconds"),
                "reason": result.get("reason"),
            }
        )
    return Found(folder, trials, monitor, sign)


def other_settings(folder: Path, settings) -> list[str]:
    """Lines of a search's recipe in its folder that these settings do not have."""

    def compared(text):
        lines = text.split("\n")
        return {line for line in lines if line.split(":")[0] not in MAY_DIFFER}

    known = compared((folder / SETTINGS).read_text("utf-8"))
    return sorted(known - compared(to_yaml(settings)))


def trial_folder(folder: Path, name: str) -> Path:
    """Where a trial's run is."""
    return folder / "trials" / name


def remove_weights(found: Found):
    """Delete the weights of all ended trials but the best."""
    best = found.best
    for one in found.trials:
        if one is not best and one["state"] != "running":
            place = trial_folder(found.folder, one["id"])
            for path in place.rglob(WEIGHTS):
                path.unlink()
            shutil.rmtree(place / "resume", ignore_errors=True)


def finish(found: Found, settings_class: type):
    """Move the best trial to its place; write the figure and the best recipe.

    Args:
        found: with one completed trial at least.
        settings_class: of a trial's recipe.
    """
    from kerasft.training.plots import figure_to_png, scores_by_setting

    folder, best = found.folder, found.folder / BEST
    place = trial_folder(folder, found.best["id"])
    if place.exists():
        shutil.rmtree(best, ignore_errors=True)
        place.rename(best)
    done = [one for one in found.trials if one["state"] == "completed"]
    figure = scores_by_setting(
        [one["values"] for one in done], [one["score"] for one in done], found.monitor
    )
    (folder / PLOT).write_bytes(figure_to_png(figure))
    recipe = from_yaml(settings_class, best / run_folder.RECIPE)
    text = to_yaml(recipe, without=("out", "tensorboard"))
    run_folder.write_text(folder / BEST_RECIPE, f"# {_told(found)}\n{text}")


def _told(found):
    """The best trial in a line."""
    best = found.best
    return (
        f"The best of {len(found.trials)} trials: {values_line(best)}: {found.monitor} "
        f"{best['score']:.5g}"
    )


def values_line(trial: dict) -> str:
    """The values of a trial in a line."""
    return ", ".join(f"{name} {value}" for name, value in trial["values"].items())


def _short(value):
    if isinstance(value, float):
        return f"{value:.3g}"
    return str(value)
