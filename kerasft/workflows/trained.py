"""A trained task from a folder, with the columns and lengths it was trained with.

In: a run folder, or any checkpoint with a head. Out: the task, and what the columns
of new data are. The trap: the longest example is no part of a checkpoint, so it is
read from the run's recipe; without it a task would see longer texts than in training.
"""

import re
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from kerasft._errors import CheckpointError, SettingsError
from kerasft.checkpoints.json_files import read_json
from kerasft.training.column_settings import ColumnSettings
from kerasft.training.settings import ModelSettings, Settings
from kerasft.workflows.cross_validation import ensemble_of
from kerasft.workflows.finetune import FinetuneSettings
from kerasft.workflows.flags import from_yaml
from kerasft.workflows.inspect import NEXT_TOKENS
from kerasft.workflows.job import raise_if_foreign
from kerasft.workflows.jobs import JOBS
from kerasft.workflows.pretrain import PretrainSettings
from kerasft.workflows.run_folder import RECIPE
from kerasft.workflows.run_settings import RunSettings

ADAPTER, ADAPTER_NOTES = "adapter_config.json", "kerasft_adapter.json"
TASK_TYPES = {  # What peft calls a task <- ours.
    "SEQ_CLS": "text_classifier",
    "TOKEN_CLS": "token_classifier",
    "QUESTION_ANS": "question_answerer",
    "CAUSAL_LM": "causal_lm",
    "FEATURE_EXTRACTION": "text_embedder",
}


@dataclass(frozen=True)
class Trained:
    """A run to go on with.

    Args:
        place: its folder, or a checkpoint's name on the hub.
        recipe: how it was trained, where that is known.
    """

    place: str
    recipe: RunSettings | None

    def columns(self, asked: Settings) -> ColumnSettings:
        """What the columns of new data are: as asked for, else as in training.

        Raises:
            SettingsError: something is asked for that is another task's.
        """
        job = self.job
        if job in JOBS.values():
            raise_if_foreign(asked, job, JOBS.values())
        return ColumnSettings(**self._chosen(ColumnSettings, asked))

    @property
    def job(self):
        """What its task asks of the commands."""
        if self.recipe:
            return self.recipe.job
        return JOBS[_task_of(Path(self.place).expanduser())]

    def load(self, asked: Settings):
        """The task, with its settings as asked for, else as in training.

        Raises:
            CheckpointError: no checkpoint, or one without a trained head.
        """
        from kerasft.tasks import TASKS

        kind = TASKS[self.job.task]
        if getattr(self.recipe, "is_cross_validation", False):
            kind = ensemble_of(kind, self.place)
        options = self._chosen(ModelSettings, asked) | self.job.loading(self.recipe)
        try:
            task = kind.from_pretrained(self.place, **options)
        except SettingsError as error:
            raise CheckpointError(
                f"{self.place}: {error} (A checkpoint without a trained head? Run "
                "`kerasft finetune` first.)"
            ) from error
        if task.fresh_weights:
            raise CheckpointError(
                f"{self.place}: its head was never trained (the checkpoint has no "
                f"{', '.join(task.fresh_weights)}). Run `kerasft finetune` first."
            )
        return task

    def _chosen(self, group, asked):
        """Settings of a group: defaults, then the recipe's, then those asked for."""
        names = {f.name for f in fields(group)}
        recipe = self.recipe
        trained = asdict(recipe) | asdict(recipe.columns) if recipe else {}
        given = {
            name: value for name, value in asdict(asked).items() if value is not None
        }
        return {k: v for k, v in (trained | given).items() if k in names}


def open_run(place: str) -> Trained:
    """Read what a folder says of its run.

    Raises:
        CheckpointError: it is a SavedModel, which is for serving alone.
    """
    folder = Path(place).expanduser()
    if (folder / "saved_model.pb").exists():
        raise CheckpointError(
            f"{place}: is a SavedModel, for serving alone. Name the folder of the run "
            "that it was exported from."
        )
    recipe = folder / RECIPE
    return Trained(place, _read_recipe(recipe) if recipe.exists() else None)


def _task_of(folder):
    """The task that a folder without a recipe was trained for."""
    own, peft = (_content(folder / name) for name in (ADAPTER_NOTES, ADAPTER))
    if own.get("task") in JOBS:
        return own["task"]
    if peft:
        return TASK_TYPES.get(peft.get("task_type"), "text_classifier")
    return "causal_lm" if _is_decoder(folder) else "text_classifier"


def _content(path):
    """A JSON object of a local folder; {} where there is none."""
    content = read_json(path) if path.is_file() else None
    return content if isinstance(content, dict) else {}


def _is_decoder(folder):
    """Whether a local checkpoint says that it predicts next tokens."""
    names = _content(folder / "config.json").get("architectures")
    names = names if isinstance(names, list) else []
    return any(str(name).endswith(NEXT_TOKENS) for name in names)


def _read_recipe(path):
    """The settings of a run, whichever command made it."""
    pretrained = re.search("^objective:", path.read_text("utf-8"), re.MULTILINE)
    return from_yaml(PretrainSettings if pretrained else FinetuneSettings, path)
