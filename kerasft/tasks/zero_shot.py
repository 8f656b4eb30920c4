"""Labels that nobody trained for, said in words: by entailment, or by nearness.

Each label becomes a sentence, "This text is about sport." A classifier of entailment
says how surely it follows from the text; an embedder, how near it lies to it.

Sources: Yin, Hay & Roth 2019 (arXiv:1909.00161), section 4.3, as in `transformers`;
for vectors Schopf, Braun & Matthes 2022 (arXiv:2211.16285).
"""

from collections.abc import Sequence

import numpy as np

from kerasft._errors import SettingsError
from kerasft.checkpoints.folders import member
from kerasft.checkpoints.locate import locate
from kerasft.checkpoints.sentence_layout import DOWNLOADED
from kerasft.models import pretrained
from kerasft.tasks.exporting import export_zero_shot_classifier
from kerasft.tasks.labels import label_names
from kerasft.tasks.text_classifier import TextClassifier
from kerasft.tasks.text_embedder import TextEmbedder

TEMPLATE = "This text is about {}."


class ZeroShotClassifier:
    """Scores (texts, labels) by a task that knows none of the labels.

    By entailment scores are probabilities: of one label of several they sum to 1, of
    many labels each is by itself. By nearness they are cosines, -1 to 1.

    Args:
        task: a `TextClassifier` with a label that begins with "entail" and one that
            begins with "contra", trained on (text, sentence); or a `TextEmbedder`.
        labels: names, as words of the text's language.
        template: the sentence, with {} for the label.
        multi_label: whether any number of labels may hold; by entailment alone.

    Raises:
        SettingsError: labels twice or none, a template without {}, a task that cannot
            tell, or `multi_label` by nearness.
    """

    def __init__(
        self,
        task,
        labels: Sequence[str],
        template: str = TEMPLATE,
        multi_label: bool = False,
    ):
        self.task = task
        self.labels = label_names(labels, (), new_head=True, least=1)
        if not self.labels:
            raise SettingsError("labels is empty; give one name or more.")
        if template.count("{}") != 1:
            raise SettingsError(
                f"template is {template!r}; write {{}} once, where the label goes."
            )
        if multi_label and isinstance(task, TextEmbedder):
            raise SettingsError(
                "A cosine says which label is nearest, not whether it holds: leave out "
                "multi_label, or take a classifier of entailment."
            )
        self.sentences = [template.replace("{}", label) for label in self.labels]
        self.multi_label = multi_label
        self.columns = None
        if not isinstance(task, TextEmbedder):
            self.columns = _entailment_columns(task)

    @classmethod
    def from_pretrained(  # noqa: PLR0913 - each named by the user
        cls,
        checkpoint,
        labels: Sequence[str],
        *,
        template: str = TEMPLATE,
        multi_label: bool = False,
        max_length: int | None = None,
        precision: str = "float32",
        revision: str | None = None,
    ):
        """By entailment where the checkpoint has labels of that, else by nearness.

        Args:
            checkpoint: a local folder or a name on the Hugging Face hub.
            labels: names, as words of the text's language.
            template: the sentence, with {} for the label.
            multi_label: whether any number of labels may hold.
            max_length: longer texts are cut to this many tokens.
            precision: "float32", "mixed_bfloat16" or "mixed_float16".
            revision: branch, tag or commit on the hub.

        Raises:
            CheckpointError: no such checkpoint, or it does not fit.
            SettingsError: as of the class.
        """
        folder = locate(checkpoint, revision, more=DOWNLOADED)
        told = ()
        if not member(folder, "modules.json").exists():
            told = pretrained.read_config(folder)[1].labels
        kind = TextEmbedder if _place(told, "entail") is None else TextClassifier
        task = kind.from_pretrained(folder, max_length=max_length, precision=precision)
        return cls(task, labels, template, multi_label)

    def predict_rows(self, rows, batch_size=32):
        """Scores of rows of single texts, float32 (rows, labels)."""
        return self.scores(rows.texts(), batch_size)

    def scores(self, texts, batch_size=32):
        """Scores of texts, float32 (texts, labels)."""
        from kerasft.data.corpus import from_lists

        if self.columns is None:
            return self.task.similarity(texts, self.sentences)
        pairs = from_lists(
            [text for text in texts for _ in self.sentences],
            text_pairs=self.sentences * len(texts),
        )
        logits = self.task.predict_rows(pairs, batch_size)
        logits = logits.reshape(len(texts), len(self.labels), -1)
        against, follows = (logits[..., column] for column in self.columns)
        if self.multi_label or len(self.labels) == 1:
            return _softmax(np.stack([against, follows], axis=-1))[..., 1]
        return _softmax(follows)

    def predict_text(self, texts, batch_size=32) -> list[dict]:
        """Labels of texts, as plain Python values.

        Returns:
            Of each text a dict: `label`, the likeliest or nearest, its `score`, and
            `scores` of all; with `multi_label` `labels`, those of at least 0.5, in
            place of the first two.
        """
        if isinstance(texts, str):
            raise SettingsError("predict_text takes a list of texts: [text].")
        if not len(texts):
            return []
        return [self._described(row) for row in self.scores(list(texts), batch_size)]

    def export(self, folder, rows=None):
        """Write a SavedModel that takes strings and loads without kerasft.

        `serving_default(text)` gives `label`, the likeliest or nearest, its `score`,
        and `scores` of all; with `multi_label` also `chosen`: which have at least 0.5.
        It is verified as `TextClassifier.export` says.

        Args:
            folder: where to; an earlier export there is replaced.
            rows: your own rows, to verify on (the first thousand).

        Raises:
            VerificationError: it does not give what the classifier gives.
            UnsupportedTokenizerError: this kind of tokenizer has no exact graph.
        """
        export_zero_shot_classifier(self, folder, rows)

    def _described(self, row):
        scores = dict(zip(self.labels, map(float, row), strict=True))
        if self.multi_label:
            chosen = [name for name, score in scores.items() if score >= 0.5]
            return {"labels": chosen, "scores": scores}
        best = max(scores, key=scores.get)
        return {"label": best, "score": scores[best], "scores": scores}


def _place(labels, start):
    """Number of the one label that begins so, or None."""
    found = [i for i, name in enumerate(labels) if name.lower().startswith(start)]
    return found[0] if len(found) == 1 else None


def _entailment_columns(task):
    """Numbers of the logits against, and for, that the sentence follows."""
    labels = task.labels if isinstance(task, TextClassifier) else ()
    against, follows = _place(labels, "contra"), _place(labels, "entail")
    if against is None or follows is None or task.problem != "single_label":
        raise SettingsError(
            f"The labels of the task are {', '.join(labels) or 'none'}; zero-shot "
            "takes a TextClassifier with the labels entailment, (neutral) and "
            "contradiction, or a TextEmbedder."
        )
    return against, follows


def _softmax(logits):
    parts = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return parts / parts.sum(axis=-1, keepdims=True)
