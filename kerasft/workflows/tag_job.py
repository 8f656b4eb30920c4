"""The commands of token_classifier: a tag for each word, entities of texts."""

from pathlib import Path

import kerasft as kft
from kerasft._errors import DataError, SettingsError
from kerasft.workflows.job import LOSSES, Job, classification_options
from kerasft.workflows.row_files import read_rows

CONLL, CONLLU = (".conll", ".txt", ".bio", ".iob"), (".conllu",)


class TagJob(Job):
    """Words with tags, or texts with spans."""

    task = "token_classifier"
    pipeline_tag = "token-classification"
    own_settings = (
        "labels",
        "new_head",
        *LOSSES,
        "words",
        "tags",
        "spans",
        "word_column",
        "tag_column",
        "scheme",
        "crf",
        "overlap",
    )

    def read(self, files, columns, on_bad_rows="error", tagged=True):
        """Tagged rows: .conll (.txt, .bio, .iob), .conllu or .jsonl.

        Raises:
            DataError: bad rows, unknown endings.
            SettingsError: a .jsonl file whose keys are not named.
        """
        options = {"encoding": columns.encoding, "on_bad_rows": on_bad_rows}
        ending = shared_ending(files)
        if ending in CONLL:
            tag = columns.tag_column if tagged else None
            return kft.read_conll(files, columns.word_column, tag, **options)
        if ending in CONLLU:
            tag = (columns.tags or "upos") if tagged else None
            return kft.read_conllu(files, tag, **options)
        return kft.read_tagged_jsonl(files, **_keys(columns, tagged), **options)

    def read_questions(self, files, columns):
        """Words of the same kinds of files; or texts of a column."""
        if shared_ending(files) in (*CONLL, *CONLLU) or columns.words:
            return self.read(files, columns, tagged=False)
        return self.from_texts(read_rows(files, columns.without_labels()))

    def from_texts(self, texts):
        """Texts to find entities in."""
        return kft.from_spans(texts.texts())

    def check(self, rows, labels):
        """Refuse rows with other tags."""
        known = {tag.partition("-")[2] for tag in labels}
        names = set(rows.label_counts)
        unknown = names - (set(labels) if rows.kind == "words" else known)
        if unknown:
            raise DataError(
                f"{rows!r}: has the tags {', '.join(sorted(unknown)[:20])}, which the "
                f"training rows do not have: {', '.join(labels)}."
            )

    def arguments(self, settings, rows):
        """Tags, scheme, chain, windows."""
        return {
            **super().arguments(settings, rows),
            "scheme": settings.scheme,
            "crf": settings.crf,
            "overlap": settings.overlap,
        }

    def loading(self, recipe):
        """How far windows overlap; all else is in the checkpoint."""
        return {"overlap": recipe.overlap} if recipe else {}

    def options(self, settings, rows):
        """Weights of tags, smoothing, focus; none of them with a chain."""
        options = classification_options(settings, rows.parts["train"])
        return {name: value for name, value in options.items() if value}

    def answers(self, task, rows, batch_size):
        """Entities, or words with their tags, in one new column."""
        name = "entities" if task.finds_entities else "words"
        questions = rows.column(rows.kind if rows.kind == "words" else "text")
        return [{name: found} for found in task.predict_text(questions, batch_size)]


def shared_ending(files):
    """The ending that all files share, in small letters.

    Raises:
        DataError: they differ.
    """
    names = [files] if isinstance(files, str) else files
    found = {Path(name).suffix.lower() for name in names}
    if len(found) != 1:
        raise DataError(f"{', '.join(names)}: expected files of one kind.")
    return found.pop()


def _keys(columns, tagged):
    """Which keys of JSON lines hold what.

    Raises:
        SettingsError: neither words nor spans are named.
    """
    if columns.words:
        return {"words": columns.words, "tags": columns.tags if tagged else None}
    if columns.spans or not tagged:
        return {"text": columns.text, "spans": columns.spans if tagged else None}
    raise SettingsError(
        "A .jsonl file of tagged rows has words and tags, or a text and spans: name "
        "their keys with --words and --tags, or with --text and --spans."
    )
