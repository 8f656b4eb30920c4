"""The jobs of pretraining, by objective: hidden tokens, pairs, replaced tokens."""

from pathlib import Path

import kerasft as kft
from kerasft._errors import CheckpointError, DataError, SettingsError
from kerasft._registry import Registry
from kerasft.workflows.job import Job
from kerasft.workflows.row_files import read_rows
from kerasft.workflows.tag_job import shared_ending


class MaskedJob(Job):
    """Hidden tokens of texts without labels."""

    task = "masked_lm"
    pipeline_tag = "fill-mask"
    verb = "pretrained further"
    example = 'predict_text([f"Some {task.tokenizer.mask}."])'
    own_settings = ("pack",)

    def read(self, files, columns, on_bad_rows="error"):
        """Texts: documents in .txt, or a column of other files.

        Raises:
            DataError: bad rows, unknown endings.
        """
        if shared_ending(files) == ".txt":
            return kft.read_documents(
                files, columns.documents, encoding=columns.encoding
            )
        return read_rows(files, columns.without_labels(), on_bad_rows)

    def read_questions(self, files, columns):
        """The same: there are no labels."""
        return self.read(files, columns)

    def labels(self, settings, rows):
        """There are none."""
        return None

    def check(self, rows, labels):
        """Any texts will do."""

    def load(self, settings, rows):
        """The task to go on with, or a new one."""
        if settings.model_config is None:
            return super().load(settings, rows)
        from kerasft.tasks import TASKS

        return TASKS[self.task].from_scratch(
            read_model_config(settings.model_config),
            settings.tokenizer,
            max_length=settings.max_length,
            precision=settings.precision,
            **self.arguments(settings, rows),
        )

    def arguments(self, settings, rows):
        """How tokens are hidden, and what else is the task's own."""
        names = ("mask_share", "mask_random_keep", "whole_words", *self.own_settings)
        given = {name: vars(settings)[name] for name in names}
        return {name: value for name, value in given.items() if value is not None}

    def loading(self, recipe):
        """The same, so that other rows are measured as the validation rows were."""
        return self.arguments(recipe, None)

    def answers(self, task, rows, batch_size):
        """For each mask of a text its likeliest tokens, in one new column."""
        texts, mask = rows.texts(), task.tokenizer.mask
        without = [i for i, text in enumerate(texts) if mask not in text]
        if without:
            places = ", ".join(rows.where(i) for i in without[:5])
            raise DataError(
                f"{len(without):,} texts have no mask: {places}. Write {mask} where a "
                "token is to be guessed."
            )
        found = task.predict_text(texts, batch_size=batch_size)
        return [{"masks": masks} for masks in found]


class PairJob(MaskedJob):
    """Hidden tokens, and whether two texts belong together.

    Args:
        objective: as it is asked for.
        pairs: what the family's pairs must be: "next" or "order".
    """

    task = "pretraining"
    example = 'predict_text([("Some text.", "And more.")])'
    takes_lines = False
    own_settings = ()

    def __init__(self, objective, pairs):
        self.objective, self.pairs = objective, pairs

    def load(self, settings, rows):
        """The task to go on with, or a new one.

        Raises:
            SettingsError: its family is pretrained on other pairs.
        """
        task = super().load(settings, rows)
        if task.head.pairs != self.pairs:
            other = next(
                name
                for name, job in OBJECTIVES.items()
                if getattr(job, "pairs", None) == task.head.pairs
            )
            raise SettingsError(
                f"objective is {self.objective!r}, but a "
                f"{task.backbone.family.model_type} is pretrained with {other!r}."
            )
        return task

    def read_questions(self, files, columns):
        """Pairs of texts.

        Raises:
            SettingsError: the second column is not named.
        """
        if columns.text_pair is None:
            raise SettingsError(
                "Asked is whether two texts belong together: name the column of the "
                "second with --text-pair."
            )
        return read_rows(files, columns.without_labels())

    def answers(self, task, rows, batch_size):
        """Whether the texts of a pair belong together, and how likely it is."""
        return task.described(task.predict_rows(rows, batch_size))


class ReplacedJob(MaskedJob):
    """Which tokens a generator has replaced."""

    task = "replaced_token_detection"
    pipeline_tag = "feature-extraction"
    example = Job.example
    own_settings = ("pack", "generator", "generator_share")

    def loading(self, recipe):
        """Without the generator, which is in the run's folder."""
        given = self.arguments(recipe, None)
        return {name: given[name] for name in given if "generator" not in name}

    def answers(self, task, rows, batch_size):
        """Of each token how likely it is that it was replaced, in one new column."""
        found = task.predict_text(rows.texts(), batch_size)
        return [{"tokens": tokens} for tokens in found]


def read_model_config(place: str) -> dict:
    """What a `config.json`, or that of a folder, says.

    Raises:
        CheckpointError: no such file, or no JSON object.
    """
    from kerasft.checkpoints.json_files import read_json

    path = Path(place).expanduser()
    path = path / "config.json" if path.is_dir() else path
    if not path.is_file():
        raise CheckpointError(f"{path}: no such file. Expected a config.json.")
    content = read_json(path)
    if not isinstance(content, dict):
        raise CheckpointError(f"{path}: not a JSON object.")
    return content


OBJECTIVES = Registry(
    "objective",
    **{
        "mlm": MaskedJob(),
        "mlm+nsp": PairJob("mlm+nsp", "next"),
        "mlm+sop": PairJob("mlm+sop", "order"),
        "rtd": ReplacedJob(),
    },
)
