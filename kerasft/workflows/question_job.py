"""The commands of question_answerer: answers cut out of texts."""

import kerasft as kft
from kerasft._errors import DataError
from kerasft.workflows.job import Job
from kerasft.workflows.tag_job import shared_ending


class QuestionJob(Job):
    """Questions about texts."""

    task = "question_answerer"
    pipeline_tag = "question-answering"
    takes_lines = False
    example = 'predict_text([{"question": "Who?", "context": "Some text."}])'
    own_settings = (
        "new_head",
        "label_smoothing",
        "focal_gamma",
        "question",
        "context",
        "answer",
        "answer_start",
        "max_answer_length",
        "overlap",
    )

    def read(self, files, columns, on_bad_rows="error", answered=True):
        """Questions with answers: .json, as SQuAD has it, or .jsonl.

        Raises:
            DataError: bad rows, unknown endings.
        """
        options = {"encoding": columns.encoding, "on_bad_rows": on_bad_rows}
        ending = shared_ending(files)
        if ending == ".json":
            return kft.read_squad(files, answers=answered, **options)
        if ending != ".jsonl":
            raise DataError(
                f"{files}: expected questions in .json, as SQuAD has it, or in .jsonl."
            )
        answer = (columns.answer, columns.answer_start) if answered else (None, None)
        keys = (columns.question or "question", columns.context, *answer)
        return kft.read_questions_jsonl(files, *keys, **options)

    def read_questions(self, files, columns):
        """Questions alone."""
        return self.read(files, columns, answered=False)

    def labels(self, settings, rows):
        """There are none."""
        return None

    def check(self, rows, labels):
        """Any answers will do."""

    def arguments(self, settings, rows):
        """Windows, and how long an answer may be."""
        return {"new_head": settings.new_head} | self.loading(settings)

    def loading(self, recipe):
        """The same; all else is in the checkpoint."""
        if not recipe:
            return {}
        return {
            "overlap": recipe.overlap,
            "max_answer_length": recipe.max_answer_length,
        }

    def options(self, settings, rows):
        """Smoothing and focus."""
        return {
            "label_smoothing": settings.label_smoothing,
            "focal_gamma": settings.focal_gamma,
        }

    def finish(self, task, rows, folder):
        """Tune when to say that there is no answer, where validation rows tell."""
        valid = rows.parts.get("validation")
        known = {bool(some) for some in valid.accepted} if valid else set()
        if len(known) == 2:
            task.tune_threshold(valid)
            task.save_trained(folder)

    def answers(self, task, rows, batch_size):
        """Answer, its characters, and how likely it is."""
        return task.answer_rows(rows, batch_size)
