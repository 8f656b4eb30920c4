"""Pretrain on texts without labels, from a checkpoint or from random weights.

Settings in; a folder with the best checkpoint, its evaluation and the recipe out. The
checkpoint is for `kerasft finetune --checkpoint`.
"""

from dataclasses import dataclass
from typing import Literal

from kerasft.training.column_settings import DocumentSettings, TextSettings
from kerasft.training.settings import ModelSettings, TrainingSettings, setting
from kerasft.training.task_settings import (
    MaskingSettings,
    NextTokenSettings,
    SampleSettings,
)
from kerasft.workflows.job import raise_if_foreign
from kerasft.workflows.pretrain_jobs import OBJECTIVES
from kerasft.workflows.run_settings import RunSettings
from kerasft.workflows.training import Run, trained_run


@dataclass(frozen=True, kw_only=True)
class PretrainSettings(
    RunSettings,
    TextSettings,
    DocumentSettings,
    ModelSettings,
    MaskingSettings,
    NextTokenSettings,
    SampleSettings,
    TrainingSettings,
):
    """Objective."""

    objective: Literal["mlm", "mlm+nsp", "mlm+sop", "rtd", "clm"] = setting(
        "mlm",
        "hidden tokens; those and pairs (nsp: BERT's, sop: ALBERT's); replaced tokens; "
        "next tokens (GPT's)",
    )
    checkpoint: str | None = setting(
        None, "go on from here: local folder, or name on the Hugging Face hub"
    )
    model_config: str | None = setting(
        None,
        "begin with random weights of the sizes in this config.json, or of a preset: "
        "gpt2-tiny, gpt2-10m, gpt2, llama-10m, llama-135m",
    )
    tokenizer: str | None = setting(
        None, "folder or hub name of the tokenizer to begin with"
    )

    @property
    def job(self):
        """The `Job` of its objective."""
        return OBJECTIVES[self.objective]

    def conflicts(self):
        """Settings that do not go together, one sentence each."""
        problems = super().conflicts()
        if (self.checkpoint is None) == (self.model_config is None):
            problems.append(
                "give `checkpoint` to go on with one, or `model_config` and "
                "`tokenizer` to begin with random weights."
            )
        if (self.model_config is None) != (self.tokenizer is None):
            problems.append("model_config and tokenizer go together; give both.")
        for name in ("revision", "generator"):
            if self.checkpoint is None and vars(self)[name] is not None:
                problems.append(f"{name} goes with a checkpoint; leave it out.")
        return problems


def pretrain(settings: PretrainSettings) -> Run:
    """Pretrain on texts without labels, from a checkpoint or from nothing.

    Raises:
        KerasftError: settings, rows or a checkpoint that do not fit; nothing has been
            written then.
    """
    raise_if_foreign(settings, settings.job, OBJECTIVES.values())
    return trained_run(settings)
