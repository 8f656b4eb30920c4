"""Fine-tune a checkpoint on rows of files, and leave a run folder behind.

Settings in; a folder with the best checkpoint, its evaluation and the recipe out.
"""

from dataclasses import dataclass, replace
from typing import Literal

from kerasft.training import column_settings as columns
from kerasft.training import task_settings as tasks
from kerasft.training.fold_settings import FoldSettings
from kerasft.training.settings import (
    AdapterSettings,
    LossSettings,
    ModelSettings,
    TrainingSettings,
    setting,
)
from kerasft.workflows.cross_validation import cross_validated
from kerasft.workflows.job import raise_if_foreign
from kerasft.workflows.jobs import JOBS
from kerasft.workflows.run_settings import RunSettings
from kerasft.workflows.text_job import LABEL_TYPES
from kerasft.workflows.training import Run, trained_run


@dataclass(frozen=True, kw_only=True)
class FinetuneSettings(
    RunSettings,
    columns.TextSettings,
    columns.PairSettings,
    columns.LabelSettings,
    columns.TaggedSettings,
    columns.QuestionSettings,
    columns.ChoiceSettings,
    columns.MentionSettings,
    columns.DocumentSettings,
    columns.ConversationSettings,
    ModelSettings,
    tasks.TaggerSettings,
    tasks.AnswerSettings,
    tasks.RelationSettings,
    tasks.VectorSettings,
    tasks.FewShotSettings,
    tasks.NextTokenSettings,
    tasks.AnsweringSettings,
    tasks.AnswerReportSettings,
    tasks.SampleSettings,
    TrainingSettings,
    AdapterSettings,
    LossSettings,
    FoldSettings,
):
    """Task."""

    checkpoint: str = setting(help="local folder, or name on the Hugging Face hub")
    task: str = setting(
        "text_classifier",
        "what to train for: text_classifier, token_classifier, question_answerer, "
        "multiple_choice, relation_extractor, triple_extractor, text_embedder, "
        "few_shot_classifier or causal_lm",
    )
    problem: Literal["single_label", "multi_label", "regression"] | None = setting(
        None, "what is predicted; null: by the kind of label"
    )
    labels: list[str | int] | None = setting(
        None, "label names in order; null: those of `train`"
    )
    new_head: bool = setting(False, "start with a new last layer in any case")

    @property
    def job(self):
        """The `Job` of its task."""
        return JOBS[self.task]

    @property
    def columns(self):
        """What the columns of the data files are."""
        kind = self.label_type or LABEL_TYPES.get(self.problem)
        return replace(super().columns, label_type=kind)

    def conflicts(self):
        """Settings that do not go together, one sentence each."""
        problems = super().conflicts()
        fitting = LABEL_TYPES.get(self.problem)
        if self.problem and self.label_type not in (None, fitting):
            problems.append(
                f"problem is {self.problem!r} and label_type {self.label_type!r}; it "
                f"goes with {fitting!r}. Leave one of them out."
            )
        return problems


def finetune(settings: FinetuneSettings) -> Run:
    """Fine-tune a checkpoint on your rows.

    With `folds` the `Run` is that of all folds: see `cross_validated`.

    Raises:
        KerasftError: settings, rows or a checkpoint that do not fit; nothing has been
            written then.
    """
    raise_if_foreign(settings, settings.job, JOBS.values())
    if settings.is_cross_validation:
        return cross_validated(settings)
    return trained_run(settings)
