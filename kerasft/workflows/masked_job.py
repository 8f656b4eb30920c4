"""The job of hidden tokens, and how any model is begun from random weights."""

import kerasft as kft
from kerasft._errors import DataError
from kerasft.workflows.job import Job
from kerasft.workflows.model_presets import read_model_config
from kerasft.workflows.row_files import read_rows
from kerasft.workflows.tag_job import shared_ending


class MaskedJob(Job):
    """Hidden tokens of texts without labels."""

    task = "masked_lm"
    pipeline_tag = "fill-mask"
    verb = "pretrained further"
    example = 'predict_text([f"Some {task.tokenizer.mask}."])'
    own_settings = ("pack",)

    def read(self, files, columns, on_bad_rows="error"):
        """Texts: documents in .txt, or a column of other files.

        Raises:
            DataError: bad rows, unknown endings.
        """
        if shared_ending(files) == ".txt":
            return kft.read_documents(
                files, columns.documents, encoding=columns.encoding
            )
        return read_rows(files, columns.without_labels(), on_bad_rows)

    def read_questions(self, files, columns):
        """The same: there are no labels."""
        return self.read(files, columns)

    def labels(self, settings, rows):
        """There are none."""
        return None

    def check(self, rows, labels):
        """Any texts will do."""

    def load(self, settings, rows):
        """The task to go on with, or a new one."""
        if settings.model_config is None:
            return super().load(settings, rows)
        from kerasft.tasks import TASKS

        return TASKS[self.task].from_scratch(
            self.sizes(settings),
            settings.tokenizer,
            max_length=settings.max_length,
            precision=settings.precision,
            **self.arguments(settings, rows),
        )

    def sizes(self, settings) -> dict:
        """What `config.json` would say of a new model."""
        return read_model_config(settings.model_config)

    def arguments(self, settings, rows):
        """How tokens are hidden, and what else is the task's own."""
        names = ("mask_share", "mask_random_keep", "whole_words", *self.own_settings)
        given = {name: vars(settings)[name] for name in names}
        return {name: value for name, value in given.items() if value is not None}

    def loading(self, recipe):
        """The same, so that other rows are measured as the validation rows were."""
        return self.arguments(recipe, None)

    def answers(self, task, rows, batch_size):
        """For each mask of a text its likeliest tokens, in one new column."""
        texts, mask = rows.texts(), task.tokenizer.mask
        without = [i for i, text in enumerate(texts) if mask not in text]
        if without:
            places = ", ".join(rows.where(i) for i in without[:5])
            raise DataError(
                f"{len(without):,} texts have no mask: {places}. Write {mask} where a "
                "token is to be guessed."
            )
        found = task.predict_text(texts, batch_size=batch_size)
        return [{"masks": masks} for masks in found]
