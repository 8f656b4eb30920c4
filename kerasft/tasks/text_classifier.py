"""Labels, or numbers, for whole texts or pairs of texts.

One label of several, any number of labels at once, or regression; the labels' names
are in the checkpoint.
"""

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np

from kerasft._errors import DataError, SettingsError
from kerasft.objectives import losses, metrics
from kerasft.objectives.consistency import RDrop
from kerasft.tasks.exporting import export_text_classifier
from kerasft.tasks.labels import label_names, ordered_weights
from kerasft.tasks.loading import HeadPlan, with_padding
from kerasft.tasks.task import Task

PROBLEMS = {
    "single_label": "single_label_classification",
    "multi_label": "multi_label_classification",
    "regression": "regression",
}
LABEL_TYPES = {"single_label": "name", "multi_label": "names", "regression": "number"}


class TextClassifier(Task):
    """Logits (batch, labels) of texts.

    Args:
        backbone: hidden states of token ids.
        head: logits of hidden states.
        tokenizer: the checkpoint's.
        labels: names, in the order of the logits; for regression, of the numbers.
        problem: "single_label", "multi_label" or "regression".
    """

    head_name = "text_classifier"

    def __init__(self, backbone, head, tokenizer, labels, problem, **kwargs):
        super().__init__(backbone, head, tokenizer, **kwargs)
        self.labels = tuple(labels)
        self.problem = problem
        self.class_weight = None
        self.label_smoothing = self.focal_gamma = self.rdrop_alpha = 0.0

    @classmethod
    def from_pretrained(
        cls,
        checkpoint,
        labels: Sequence[str] | None = None,
        problem: str | None = None,
        *,
        max_length: int | None = None,
        precision: str = "float32",
        new_head: bool = False,
        revision: str | None = None,
    ):
        """Load a checkpoint; a head in it is loaded where its labels are the same.

        Args:
            checkpoint: a local folder or a name on the Hugging Face hub.
            labels: names of the labels; None: the checkpoint's own.
            problem: "single_label", "multi_label" or "regression"; None: the
                checkpoint's, else one label of several.
            max_length: longer texts are cut to this many tokens; None: as many as the
                model takes.
            precision: "float32", "mixed_bfloat16" or "mixed_float16".
            new_head: start with a new last layer even if the checkpoint has one.
            revision: branch, tag or commit on the hub.

        Raises:
            CheckpointError: no such checkpoint, or it does not fit; its head is for
                other labels.
            SettingsError: an unknown problem or precision; no labels known.
        """

        def plan_head(config, tensors):
            kind = problem or _problem_of(config)
            _raise_unless_known(kind)
            names = _label_names(labels, config, kind, new_head)
            config = dataclasses.replace(
                with_padding(config), labels=names, problem_type=PROBLEMS[kind]
            )
            new_layers = ("logits",) if new_head else ()
            arguments = {"labels": names, "problem": kind}
            return HeadPlan(config, len(names), arguments, new_layers)

        return cls._load(checkpoint, revision, max_length, precision, plan_head)

    def compile(
        self,
        optimizer=None,
        loss=None,
        metrics=None,
        *,
        class_weight: Mapping[str, float] | None = None,
        label_smoothing: float = 0.0,
        focal_gamma: float = 0.0,
        rdrop_alpha: float = 0.0,
        **options,
    ):
        """Make ready for `fit`; what is not given is the task's own.

        Args:
            optimizer: None: the recipe `kerasft.adamw()`.
            loss: a Keras loss; None: cross-entropy, binary cross-entropy or squared
                error, by the problem.
            metrics: a list of Keras metrics; None: accuracy and F1, or error and
                correlation.
            class_weight: label name -> weight of its rows in the loss.
            label_smoothing: share of the target given to all labels alike.
            focal_gamma: rows that are right already count less, the more the higher
                this is (2 is usual); 0: all count alike.
            rdrop_alpha: weight of how far two passes with other dropout differ, for
                which each step works twice; 0: one pass. TensorFlow alone.
            **options: of `Task.compile` and `keras.Model.compile`.

        Raises:
            SettingsError: weights for labels that there are not; one of these four
                beside a loss of your own, or for regression.
        """
        weighs = class_weight or label_smoothing or focal_gamma or rdrop_alpha
        if weighs and (loss is not None or self.problem == "regression"):
            raise SettingsError(
                "class_weight, label_smoothing, focal_gamma and rdrop_alpha belong to "
                "the task's own classification loss: leave out `loss`, and not for "
                "regression."
            )
        self.class_weight = ordered_weights(class_weight, self.labels)
        self.label_smoothing, self.focal_gamma = label_smoothing, focal_gamma
        self.rdrop_alpha = rdrop_alpha
        super().compile(optimizer, loss, metrics, **options)

    def default_loss(self):
        """Cross-entropy, binary cross-entropy or squared error, by the problem."""
        if self.problem == "regression":
            return losses.SquaredError()
        kind = (
            losses.BinaryCrossEntropy
            if self.problem == "multi_label"
            else losses.CrossEntropy
        )
        loss = kind(self.label_smoothing, self.class_weight, self.focal_gamma)
        return RDrop(loss, self.rdrop_alpha) if self.rdrop_alpha else loss

    def default_metrics(self):
        """Accuracy and macro F1; micro and macro F1; or error and correlation."""
        classes = len(self.labels)
        if self.problem == "regression":
            return [metrics.AbsoluteError(), metrics.Pearson()]
        if self.problem == "multi_label":
            return [
                metrics.MultiLabelF1(classes, average, f"f1_{average}")
                for average in ("micro", "macro")
            ]
        return [metrics.Accuracy(), metrics.F1(classes)]

    def label_array(self, rows):
        """Class numbers (rows,), 0/1 (rows, labels), or numbers; None without labels.

        Raises:
            DataError: labels of another kind, or unknown ones.
        """
        if rows.label_type == "none":
            return None
        wanted = LABEL_TYPES[self.problem]
        if rows.label_type != wanted:
            raise DataError(
                f"{rows!r}: its labels are of type '{rows.label_type}', but a "
                f"{self.problem} task takes '{wanted}'. Read the rows with "
                f"label_type='{wanted}', or choose another problem."
            )
        array = rows.label_array(self.labels)
        numbers = array.shape[1] if array.ndim > 1 else 1
        if self.problem == "regression" and numbers != len(self.labels):
            raise DataError(
                f"{rows!r}: has {numbers} numbers a row, but the task predicts "
                f"{len(self.labels)}: {', '.join(self.labels)}."
            )
        return array

    def described(self, logits):
        """One dict a row.

        `label` and `score` (its probability); for many labels `labels` (those of at
        least 0.5) and `scores` of all; for regression `value`, or `values` by name.
        """
        if self.problem == "regression":
            return [self._numbers(row) for row in logits]
        chances = self.probabilities(logits)
        if self.problem == "multi_label":
            return [self._many(row) for row in chances]
        best = chances.argmax(-1)
        return [
            {"label": self.labels[i], "score": float(row[i])}
            for row, i in zip(chances, best, strict=True)
        ]

    def probabilities(self, logits):
        """Softmax, or sigmoid for many labels, of logits (rows, labels), float32."""
        logits = np.asarray(logits, "float32")
        if self.problem == "multi_label":
            return 0.5 * (1 + np.tanh(0.5 * logits))
        parts = np.exp(logits - logits.max(-1, keepdims=True))
        return parts / parts.sum(-1, keepdims=True)

    def _many(self, chances):
        scores = dict(zip(self.labels, map(float, chances), strict=True))
        chosen = [name for name, score in scores.items() if score >= 0.5]
        return {"labels": chosen, "scores": scores}

    def _numbers(self, row):
        if len(row) == 1:
            return {"value": float(row[0])}
        return {"values": dict(zip(self.labels, map(float, row), strict=True))}

    def export(self, folder, rows=None, *, pairs=None, signature="text"):
        """Write a SavedModel that takes strings and loads without kerasft.

        `serving_default(text)` (and `text_pair`) gives `label`, `score` and
        `probabilities`, or `value` for regression; `tokens` takes token ids. It is
        written only if its tokenizer gives the reference's ids and its numbers are
        the model's, on `rows` and on adversarial texts: to 1e-5, in mixed precision
        to what half precision can promise (`exporting.TOLERANCES`).

        Args:
            folder: where to; an earlier export there is replaced.
            rows: your own rows, to verify on (the first thousand).
            pairs: whether it takes two texts; None: as `rows`.
            signature: "text", or "tokens" for token ids alone.

        Raises:
            VerificationError: it does not give what the model gives.
            UnsupportedTokenizerError: this kind of tokenizer has no exact graph.
        """
        export_text_classifier(self, folder, rows, pairs, signature)

    def saved_config(self):
        """The backbone's config, with label names and problem."""
        return dataclasses.replace(
            self.backbone.config,
            labels=self.labels,
            problem_type=PROBLEMS[self.problem],
        )


def _problem_of(config):
    known = {theirs: ours for ours, theirs in PROBLEMS.items()}
    return known.get(config.problem_type, "single_label")


def _raise_unless_known(problem):
    if problem not in PROBLEMS:
        raise SettingsError(f"problem is {problem!r}; known: {', '.join(PROBLEMS)}.")


def _label_names(asked, config, problem, new_head):
    if asked is None and not config.labels and problem == "regression":
        return ("value",)
    return label_names(asked, config.labels, new_head, 1 + (problem != "regression"))
