"""The commands of multiple_choice: which of several choices is right."""

import kerasft as kft
from kerasft._errors import DataError
from kerasft.workflows.job import Job
from kerasft.workflows.tag_job import shared_ending


class ChoiceJob(Job):
    """Texts with choices."""

    task = "multiple_choice"
    pipeline_tag = "multiple-choice"
    takes_lines = False
    example = 'predict_text([{"context": "Some text.", "choices": ["One.", "Two."]}])'
    own_settings = ("context", "question", "choices", "label", "new_head")

    def read(self, files, columns, on_bad_rows="error"):
        """Texts with choices and the number of the right one, in .jsonl.

        Raises:
            DataError: bad rows, unknown endings, or no key of the label.
        """
        if not isinstance(columns.label, str):
            raise DataError(
                f"label is {columns.label}; of choices it is one key: that of the "
                "right one's number or letter."
            )
        return self._read(files, columns, columns.label, on_bad_rows)

    def read_questions(self, files, columns):
        """Texts with choices alone."""
        return self._read(files, columns, None, "error")

    def _read(self, files, columns, label, on_bad_rows):
        if shared_ending(files) != ".jsonl":
            raise DataError(f"{files}: expected choices in .jsonl.")
        return kft.read_choices_jsonl(
            files,
            columns.context,
            columns.choices,
            label,
            columns.question,
            encoding=columns.encoding,
            on_bad_rows=on_bad_rows,
        )

    def labels(self, settings, rows):
        """There are none: each row has choices of its own."""
        return None

    def check(self, rows, labels):
        """Any choices will do."""

    def arguments(self, settings, rows):
        """Whether the head begins anew."""
        return {"new_head": settings.new_head}

    def answers(self, task, rows, batch_size):
        """The best choice, its number, and how likely each is."""
        return task.answer_rows(rows, batch_size)
