"""The rows of one run: read, split, and checked before any model is made.

Settings in, `TrainingRows` out, or one error with all that is wrong. The trap: a label
that is in the validation rows alone must stop the run here, for the loss would count
it as whatever class has that number.
"""

from dataclasses import dataclass, replace

import kerasft as kft
from kerasft._errors import DataError
from kerasft.workflows.job import Job


@dataclass(frozen=True)
class TrainingRows:
    """The rows of one run.

    Args:
        parts: "train" and, where there are such rows, "validation" and "test".
        labels: the label names in order; None: the task's own.
        about: the kind of problem, for people.
    """

    parts: dict
    labels: tuple[str, ...] | None
    about: str

    def leaks(self) -> list[str]:
        """For each part but the first: which of its rows are training rows too."""
        found = {
            name: kft.duplicates_between(self.parts["train"], rows)
            for name, rows in self.parts.items()
            if name != "train"
        }
        return [f"{name}: {same}" for name, same in found.items() if same.normalised]


def read_training_rows(settings, job: Job) -> TrainingRows:
    """All rows that `FinetuneSettings` name.

    Raises:
        DataError: bad rows, unknown labels, too few rows.
    """
    columns = settings.columns
    parts = {"train": job.read(settings.train, columns, settings.on_bad_rows)}
    columns = job.same_columns(columns, parts["train"])
    fold = getattr(settings, "fold", None)
    for name in ("validation", "test"):
        source = vars(settings)[name]
        if fold and name == "validation":
            parts["train"], parts[name] = _fold(parts["train"], settings, job)
        elif isinstance(source, float):
            parts["train"], parts[name] = kft.split(
                parts["train"],
                (1 - source, source),
                seed=settings.seed,
                stratify=job.stratifies(parts["train"]),
            )
        elif source is not None:
            parts[name] = job.read(source, columns, settings.on_bad_rows)
    rows = TrainingRows(parts, job.labels(settings, parts["train"]), "")
    _raise_if_unknown(parts, rows.labels, job)
    return replace(rows, about=job.about(rows))


def _fold(rows, settings, job):
    """The rows of one fold: to train on, and to validate on."""
    stratify = job.stratifies(rows)
    return kft.folds(rows, settings.folds, settings.seed, stratify)[settings.fold - 1]


def _raise_if_unknown(parts, labels, job):
    problems = []
    for name, rows in parts.items():
        try:
            job.check(rows, labels)
        except DataError as error:
            problems.append(f"{name}: {error}")
    if problems:
        raise DataError("\n".join(problems))
