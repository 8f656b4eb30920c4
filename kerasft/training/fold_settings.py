"""What cross-validation is told."""

from dataclasses import dataclass

from kerasft.training.settings import Settings, at_least, setting

USUAL_SHARE = 0.1
"""Default of `validation`, which the folds take the place of."""


@dataclass(frozen=True, kw_only=True)
class FoldSettings(Settings):
    """Cross-validation."""

    folds: int | None = setting(
        None,
        "train so many runs, each validated on another part of `train`, in the folders "
        "fold-1, fold-2, ... of `out`",
        at_least(2),
    )
    fold: int | None = setting(
        None, "train this one of the folds alone, from 1 on", at_least(1)
    )

    def conflicts(self):
        """Settings that do not go together, one sentence each."""
        problems = super().conflicts()
        if self.fold and not self.folds:
            problems.append("fold needs the number of all folds; give `folds`.")
        elif self.fold and self.fold > self.folds:
            problems.append(f"fold is {self.fold}, but there are {self.folds} folds.")
        if self.folds and vars(self).get("validation") not in (USUAL_SHARE, None):
            problems.append(
                "folds are validated on parts of `train`; leave out `validation`, or "
                "set it to null."
            )
        return problems

    @property
    def is_cross_validation(self):
        """Whether all folds are asked for."""
        return bool(self.folds) and not self.fold
