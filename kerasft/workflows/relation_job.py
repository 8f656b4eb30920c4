"""The commands of relation_extractor and triple_extractor."""

import kerasft as kft
from kerasft._errors import DataError
from kerasft.workflows.job import HEAD, LOSSES, Job, classification_options
from kerasft.workflows.tag_job import shared_ending


class RelationJob(Job):
    """Texts with two mentions, and what the first is to the second."""

    task = "relation_extractor"
    pipeline_tag = "text-classification"
    takes_lines = False
    example = (
        'predict_text([{"text": "Ann met Bob.", "head": (0, 3), "tail": (8, 11)}])'
    )
    own_settings = (
        *HEAD,
        *LOSSES,
        "head",
        "tail",
        "inclusive",
        "no_relation",
        "mention_pooling",
    )

    def read(self, files, columns, on_bad_rows="error"):
        """Texts with two mentions and a relation, in .jsonl.

        Raises:
            DataError: bad rows, unknown endings, or no key of the label.
        """
        if not isinstance(columns.label, str):
            raise DataError(
                f"label is {columns.label}; of relations it is one key: that of the "
                "relation's name."
            )
        return self._read(files, columns, columns.label, on_bad_rows)

    def read_questions(self, files, columns):
        """Texts with two mentions alone."""
        return self._read(files, columns, None, "error")

    def _read(self, files, columns, label, on_bad_rows):
        _raise_unless_jsonl(files)
        return kft.read_relations_jsonl(
            files,
            columns.text,
            columns.head,
            columns.tail,
            label,
            inclusive=columns.inclusive,
            encoding=columns.encoding,
            on_bad_rows=on_bad_rows,
        )

    def check(self, rows, labels):
        """Refuse rows with other relations."""
        rows.label_array(labels)

    def stratifies(self, rows):
        """Each row has one name."""
        return True

    def arguments(self, settings, rows):
        """Relations, the one that says there is none, and pooling."""
        return super().arguments(settings, rows) | {
            "no_relation": settings.no_relation,
            "pooling": settings.mention_pooling,
        }

    def options(self, settings, rows):
        """Weights of relations, smoothing, focus."""
        return classification_options(settings, rows.parts["train"])

    def answers(self, task, rows, batch_size):
        """Relation, its probability, and those of all."""
        logits = task.predict_rows(rows, batch_size)
        chances = task.probabilities(logits).tolist()
        return [
            answer | {"scores": dict(zip(task.labels, row, strict=True))}
            for answer, row in zip(task.described(logits), chances, strict=True)
        ]


class TripleJob(Job):
    """Texts, and all triples in them."""

    task = "triple_extractor"
    pipeline_tag = "token-classification"
    own_settings = ("labels", "new_head", "triples", "triple_keys", "overlap")

    def read(self, files, columns, on_bad_rows="error"):
        """Texts with triples, in .jsonl.

        Raises:
            DataError: bad rows, unknown endings, or no key of the triples.
        """
        if columns.triples is None:
            raise DataError("triples is null; to train, name their key.")
        return self._read(files, columns, columns.triples, on_bad_rows)

    def read_questions(self, files, columns):
        """Texts alone, of any kind of file."""
        from kerasft.workflows.row_files import read_rows

        return self.from_texts(read_rows(files, columns.without_labels()))

    def from_texts(self, texts):
        """Texts to find triples in."""
        return kft.from_triples(texts.texts())

    def _read(self, files, columns, triples, on_bad_rows):
        _raise_unless_jsonl(files)
        keys = columns.triple_keys or ("subject", "relation", "object")
        if len(keys) != 3:
            raise DataError(
                f"triple_keys are {', '.join(keys)}; give three: what subject, "
                "relation and object are called."
            )
        return kft.read_triples_jsonl(
            files,
            columns.text,
            triples,
            keys,
            encoding=columns.encoding,
            on_bad_rows=on_bad_rows,
        )

    def check(self, rows, labels):
        """Refuse rows with other relations.

        Raises:
            DataError: relations that are not among `labels`.
        """
        unknown = sorted(set(rows.labels) - set(labels))
        if unknown:
            raise DataError(
                f"{rows!r}: has the relations {', '.join(unknown[:20])}, which the "
                f"training rows do not have: {', '.join(labels)}."
            )

    def arguments(self, settings, rows):
        """Relations and windows."""
        return super().arguments(settings, rows) | {"overlap": settings.overlap}

    def loading(self, recipe):
        """How far windows overlap; all else is in the checkpoint."""
        return {"overlap": recipe.overlap} if recipe else {}

    def answers(self, task, rows, batch_size):
        """All triples, in one new column."""
        return [{"found": t} for t in task.predict_text(rows.texts(), batch_size)]


def _raise_unless_jsonl(files):
    if shared_ending(files) != ".jsonl":
        raise DataError(f"{files}: expected relations in .jsonl.")
