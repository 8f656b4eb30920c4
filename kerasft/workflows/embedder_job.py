"""The commands of text_embedder: vectors of texts."""

from dataclasses import replace

from kerasft._errors import DataError, SettingsError
from kerasft.workflows.job import Job
from kerasft.workflows.row_files import read_rows


class EmbedderJob(Job):
    """Texts, pairs, triples, scored pairs or texts with a class, by their columns."""

    task = "text_embedder"
    pipeline_tag = "sentence-similarity"
    library = "sentence-transformers"
    example = 'encode(["Some text."])'
    own_settings = (
        *("text_pair", "negative", "label", "label_type"),
        *("pooling", "normalise", "loss"),
    )

    def read(self, files, columns, on_bad_rows="error"):
        """Rows of any kind that an embedder takes.

        Raises:
            DataError: bad rows, or rows of another kind.
        """
        from kerasft.tasks.embedder_rows import labels_of

        rows = read_rows(files, columns, on_bad_rows)
        labels_of(rows)
        return rows

    def read_questions(self, files, columns):
        """Texts alone: vectors are of one text."""
        alone = replace(columns.without_labels(), text_pair=None, negative=None)
        return read_rows(files, alone)

    def same_columns(self, columns, rows):
        """Labels are of the type that the training rows' are."""
        if rows.label_type == "none":
            return columns
        return replace(columns, label_type=rows.label_type)

    def labels(self, settings, rows):
        """There are none that the task keeps."""
        return None

    def check(self, rows, labels):
        """Their kind was looked at when they were read."""

    def stratifies(self, rows):
        """Where each row has a class."""
        return rows.label_type == "name"

    def arguments(self, settings, rows):
        """How vectors are pooled.

        Raises:
            DataError: texts alone are to be measured on.
            SettingsError: the loss is for other rows.
        """
        _raise_unless_fit(self._loss(settings, rows), rows.parts)
        return {"pooling": settings.pooling, "normalise": settings.normalise}

    def resolved(self, settings, rows):
        """The loss."""
        return {"loss": self._loss(settings, rows)}

    def options(self, settings, rows):
        """The loss; the metrics are those that fit it."""
        return self.resolved(settings, rows)

    def metrics(self, task, settings, rows):
        """What fits the loss."""
        from kerasft.tasks.text_embedder import METRICS

        return [METRICS[self._loss(settings, rows)]()]

    def scores(self, rows):
        """How good vectors are over all validation rows."""
        from kerasft.tasks.embedder_rows import SCORES, kind_of

        return SCORES[kind_of(rows)]

    def answers(self, task, rows, batch_size):
        """The vector of each text, in one new column."""
        vectors = task.predict_rows(rows, batch_size)
        return [{"vector": vector} for vector in task.described(vectors)]

    def about(self, rows):
        """The kind of rows."""
        from kerasft.tasks.embedder_rows import kind_of

        return f"text embedder, of {kind_of(rows.parts['train'])}"

    def _loss(self, settings, rows):
        from kerasft.tasks import TextEmbedder

        return settings.loss or TextEmbedder.loss_for(rows.parts["train"])


def _raise_unless_fit(name, parts):
    """Refuse a loss of other rows, and to measure where nothing tells what is right."""
    from kerasft.objectives.embedding_losses import EMBEDDING_LOSSES
    from kerasft.tasks.embedder_rows import kind_of

    train, kind = parts["train"], kind_of(parts["train"])
    loss = EMBEDDING_LOSSES[name]
    texts = 2 if kind == "texts" else len(train.text_columns)  # SimCSE: each twice.
    if texts not in loss.columns or loss.scored != (kind == "scored"):
        raise SettingsError(
            f"loss is {name!r}, which is not for {kind} such as {train!r}. Leave it "
            "out for the usual one."
        )
    if kind == "texts" and len(parts) > 1:
        raise DataError(
            "Texts alone do not say which should be near one another, so there is "
            "nothing to measure. Give --validation null and no --test; or rows of "
            "pairs, triples, scores or classes."
        )
