"""The rows of one run: read, split, and checked before any model is made.

Settings in, `TrainingRows` out, or one error with all that is wrong. The trap: a label
that is in the validation rows alone must stop the run here, for the loss would count
it as whatever class has that number.
"""

from dataclasses import dataclass, replace

import kerasft as kft
from kerasft._errors import DataError
from kerasft.workflows.row_files import read_rows

PROBLEMS = {"name": "single_label", "names": "multi_label", "number": "regression"}
LABEL_TYPES = {problem: kind for kind, problem in PROBLEMS.items()}


@dataclass(frozen=True)
class TrainingRows:
    """The rows of one run.

    Args:
        parts: "train" and, where there are such rows, "validation" and "test".
        labels: the label names in order; None: the task's own.
        problem: "single_label", "multi_label" or "regression".
    """

    parts: dict
    labels: tuple[str, ...] | None
    problem: str

    def leaks(self) -> list[str]:
        """For each part but the first: which of its rows are training rows too."""
        found = {
            name: kft.duplicates_between(self.parts["train"], rows)
            for name, rows in self.parts.items()
            if name != "train"
        }
        return [f"{name}: {same}" for name, same in found.items() if same.normalised]


def read_training_rows(settings) -> TrainingRows:
    """All rows that `FinetuneSettings` name.

    Raises:
        DataError: bad rows, unknown labels, too few rows.
    """
    columns = settings.columns
    if columns.label is None:
        raise DataError("label is null; to train, name the column of the label.")
    parts = {"train": read_rows(settings.train, columns, settings.on_bad_rows)}
    columns = replace(columns, label_type=parts["train"].label_type)
    for name in ("validation", "test"):
        source = vars(settings)[name]
        if isinstance(source, float):
            parts["train"], parts[name] = kft.split(
                parts["train"],
                (1 - source, source),
                seed=settings.seed,
                stratify=columns.label_type == "name",
            )
        elif source is not None:
            parts[name] = read_rows(source, columns, settings.on_bad_rows)
    labels = _label_names(settings, columns, parts["train"])
    _raise_if_unknown(parts, labels)
    return TrainingRows(parts, labels, PROBLEMS[columns.label_type])


def _label_names(settings, columns, rows):
    if settings.labels:
        return tuple(str(name) for name in settings.labels)
    if columns.label_type != "number":
        return rows.labels
    return None if isinstance(columns.label, str) else tuple(columns.label)


def _raise_if_unknown(parts, labels):
    problems = []
    for name, rows in parts.items():
        try:
            rows.label_array(labels)
        except DataError as error:
            problems.append(f"{name}: {error}")
    if problems:
        raise DataError("\n".join(problems))
