"""The jobs of pretraining, by objective: hidden, next and replaced tokens, pairs."""

from kerasft._errors import SettingsError
from kerasft._registry import Registry
from kerasft.workflows.causal_job import NextTokenJob
from kerasft.workflows.job import Job
from kerasft.workflows.masked_job import MaskedJob
from kerasft.workflows.row_files import read_rows


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


OBJECTIVES = Registry(
    "objective",
    **{
        "mlm": MaskedJob(),
        "mlm+nsp": PairJob("mlm+nsp", "next"),
        "mlm+sop": PairJob("mlm+sop", "order"),
        "rtd": ReplacedJob(),
        "clm": NextTokenJob(),
    },
)
