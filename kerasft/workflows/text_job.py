"""The commands of text_classifier: one label, several, or numbers for whole texts."""

from dataclasses import replace

from kerasft._errors import DataError
from kerasft.workflows.job import HEAD, LOSSES, Job, classification_options
from kerasft.workflows.row_files import read_rows

PROBLEMS = {"name": "single_label", "names": "multi_label", "number": "regression"}
LABEL_TYPES = {problem: kind for kind, problem in PROBLEMS.items()}


class TextJob(Job):
    """Whole texts, or pairs of texts."""

    task = "text_classifier"
    pipeline_tag = "text-classification"
    own_settings = (
        *HEAD,
        *LOSSES,
        "text_pair",
        "label_type",
        "label_separator",
        "problem",
    )

    def read(self, files, columns, on_bad_rows="error"):
        """Rows with labels.

        Raises:
            DataError: bad rows, or no column of the label.
        """
        if columns.label is None:
            raise DataError("label is null; to train, name the column of the label.")
        return read_rows(files, columns, on_bad_rows)

    def read_questions(self, files, columns):
        """Texts alone."""
        return read_rows(files, columns.without_labels())

    def same_columns(self, columns, rows):
        """Labels are of the type that the training rows' are."""
        return replace(columns, label_type=rows.label_type)

    def labels(self, settings, rows):
        """Names of labels; of several numbers, their columns."""
        if settings.labels or rows.label_type != "number":
            return super().labels(settings, rows)
        label = settings.columns.label
        return None if isinstance(label, str) else tuple(label)

    def check(self, rows, labels):
        """Refuse rows with other labels."""
        rows.label_array(labels)

    def stratifies(self, rows):
        """Where each row has one name."""
        return rows.label_type == "name"

    def resolved(self, settings, rows):
        """The problem, which tells later commands what the labels are."""
        return {"problem": self._problem(rows)}

    def _problem(self, rows):
        return PROBLEMS[rows.parts["train"].label_type]

    def arguments(self, settings, rows):
        """Labels and problem."""
        return super().arguments(settings, rows) | {"problem": self._problem(rows)}

    def options(self, settings, rows):
        """Weights of labels, smoothing, focus."""
        return classification_options(settings, rows.parts["train"])

    def answers(self, task, rows, batch_size):
        """Label, score and scores of all; or what else the problem has."""
        logits = task.predict_rows(rows, batch_size)
        answers = task.described(logits)
        if task.problem == "single_label":
            chances = task.probabilities(logits).tolist()
            for answer, row in zip(answers, chances, strict=True):
                answer["scores"] = dict(zip(task.labels, row, strict=True))
        return answers

    def exporting(self, columns):
        """Whether it takes pairs of texts is what the run was trained on."""
        return {"pairs": columns.text_pair is not None}

    def about(self, rows):
        """The problem."""
        return self._problem(rows).replace("_", " ")
