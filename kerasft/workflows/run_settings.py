"""What all commands that train are told: rows, folder, and how to choose the best."""

from dataclasses import dataclass, fields
from typing import Literal

from kerasft.training.column_settings import ColumnSettings
from kerasft.training.settings import (
    Files,
    Settings,
    TrainingSettings,
    above,
    at_least,
    setting,
)


@dataclass(frozen=True, kw_only=True)
class ResumeSettings(Settings):
    """Going on with an unfinished run."""

    save_steps: int | None = setting(
        None, "steps between two snapshots; null: by time", at_least(1)
    )
    save_minutes: float | None = setting(
        None,
        "minutes between two snapshots; null: as often as it costs under 1/60 of the "
        "time",
        above(0),
    )
    restart: bool = setting(False, "begin anew although `out` holds an unfinished run")
    allow_changes: bool = setting(
        False, "go on with a run although its settings or data have changed"
    )


@dataclass(frozen=True, kw_only=True)
class RunSettings(ResumeSettings, TrainingSettings):
    """Run."""

    train: Files = setting(help="rows to train on: a file, or several of one kind")
    out: str = setting(help="folder of the run, which will hold the checkpoint")
    validation: list[str] | float | str | None = setting(
        0.1, "rows to choose the best epoch by, or the share of `train` to split off"
    )
    test: Files | None = setting(None, "rows to evaluate the best epoch on")
    on_bad_rows: Literal["error", "skip"] = setting(
        "error", "stop, or leave bad rows out and list them in rejected.csv"
    )
    revision: str | None = setting(
        None, "branch, tag or commit of the checkpoint on the hub"
    )
    tensorboard: str | None = setting(
        None, "folder of the TensorBoard logs; null: tb_logs/ and the name of `out`"
    )
    histograms: bool = setting(
        False, "write histograms of the trained weights to TensorBoard, by epoch"
    )
    profile: list[int] | None = setting(
        None, "first and last step to profile, for TensorBoard's Profile tab"
    )

    @property
    def job(self):
        """The `Job` of its task.

        Raises:
            UnknownNameError: there is no such task.
        """
        raise NotImplementedError

    @property
    def columns(self) -> ColumnSettings:
        """What the columns of the data files are; of other kinds of rows the usual."""
        names = {f.name for f in fields(ColumnSettings)}
        return ColumnSettings(**{k: v for k, v in vars(self).items() if k in names})

    def conflicts(self):
        """Settings that do not go together, one sentence each."""
        problems = super().conflicts()
        share = self.validation
        if isinstance(share, int | float) and not 0 < share < 1:
            problems.append(
                f"validation is {share}; as a share it is above 0, below 1."
            )
        if share is None and self.patience:
            problems.append("patience needs validation rows; give `validation`.")
        return problems
