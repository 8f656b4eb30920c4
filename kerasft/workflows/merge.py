"""Merge an adapter into its base, and write a plain checkpoint.

A run folder or an adapter's folder in, a Hugging Face checkpoint out, which needs
neither peft nor the adapter any more.
"""

from dataclasses import dataclass
from pathlib import Path

from kerasft._errors import SettingsError
from kerasft.checkpoints.folders import CHECKPOINT_FILES
from kerasft.training.settings import ModelSettings, overrides, setting
from kerasft.workflows.console import RESULTS
from kerasft.workflows.run_folder import unused
from kerasft.workflows.trained import open_run

WHY = "The merged checkpoint would replace what is there"
ModelOverrides = overrides(ModelSettings, "Model")


@dataclass(frozen=True, kw_only=True)
class MergeSettings(ModelOverrides):
    """Merge."""

    adapter: str = setting(help="run folder or folder of an adapter", positional=True)
    out: str = setting(help="folder of the checkpoint")


def merge(settings: MergeSettings) -> Path:
    """Merge an adapter into its base, and write a checkpoint without it.

    Returns:
        The folder.

    Raises:
        KerasftError: no adapter, one that cannot be merged, a base that is not found,
            or a folder that holds a checkpoint; nothing is written then.
    """
    out = unused(settings.out, (*CHECKPOINT_FILES, "adapter_config.json"), WHY)
    task = open_run(settings.adapter).load(settings)
    if task.active_adapter is None:
        raise SettingsError(
            f"{settings.adapter}: holds no adapter, so there is nothing to merge. Name "
            "the folder of a run with --peft, or one with adapter_config.json."
        )
    told = f"{task.adapter_summary} merged into {task.checkpoint}"
    task.save_pretrained(out)
    RESULTS.print(f"{told}.\nThe checkpoint is in {out}.")
    return out
