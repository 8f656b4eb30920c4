"""A language model to be asked, from a run folder or any checkpoint of a decoder."""

from dataclasses import dataclass
from typing import Literal

from kerasft._errors import CheckpointError
from kerasft.training.sampling_settings import SamplingSettings
from kerasft.training.settings import setting


@dataclass(frozen=True, kw_only=True)
class AskedModelSettings(SamplingSettings):
    """Model."""

    checkpoint: str = setting(
        help="run folder, checkpoint of a decoder, or name on the Hugging Face hub",
        positional=True,
    )
    revision: str | None = setting(
        None, "branch, tag or commit of the checkpoint on the hub"
    )
    precision: Literal["float32", "mixed_bfloat16", "mixed_float16"] = setting(
        "float32", "of the computation"
    )


def language_model(settings: AskedModelSettings):
    """The `CausalLM` to ask.

    Raises:
        CheckpointError: no checkpoint, a run of another task, or a head that was never
            trained.
    """
    import kerasft as kft
    from kerasft.workflows.trained import open_run

    place, recipe = settings.checkpoint, open_run(settings.checkpoint).recipe
    if recipe is not None and recipe.job.task != "causal_lm":
        raise CheckpointError(
            f"{place}: is a run of {recipe.job.task}, which writes no texts. Name one "
            "of causal_lm, or a checkpoint of a decoder."
        )
    task = kft.CausalLM.from_pretrained(
        place, revision=settings.revision, precision=settings.precision
    )
    if task.fresh_weights:
        raise CheckpointError(
            f"{place}: its head was never trained (the checkpoint has no "
            f"{', '.join(task.fresh_weights)}). Run `kerasft finetune --task "
            "causal_lm` first."
        )
    return task
