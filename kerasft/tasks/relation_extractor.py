"""What one mention in a text is to another: the relation of a head and a tail.

Both mentions are marked in the text, which is then read whole; the states of the
marks, or of all that stands between them, are classified.

Sources: Baldini Soares et al. 2019 (arXiv:1906.03158); Zhou and Chen 2021
(arXiv:2102.01373).
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from kerasft._errors import DataError, SettingsError
from kerasft.data.relating import POOLINGS, relation_examples
from kerasft.data.relation_rows import RelationRows, relations_of
from kerasft.objectives import losses, metrics
from kerasft.objectives.consistency import RDrop
from kerasft.objectives.relation_scores import RelationScores
from kerasft.tasks.feeding import Fed
from kerasft.tasks.labels import label_names, ordered_weights
from kerasft.tasks.loading import HeadPlan
from kerasft.tasks.relation_exports import export_relation_extractor
from kerasft.tasks.task import Task


class RelationExtractor(Task):
    """Logits (batch, relations) of token ids with `mention_ids` beside them.

    Args, beside those of `Task`:
        labels: names of the relations, in the order of the logits.
        no_relation: the one of them that says that there is none, or None.
        pooling: "marks" or "mentions".
    """

    head_name = "relation_extractor"
    problem = "single_label"

    def __init__(
        self,
        backbone,
        head,
        tokenizer,
        labels,
        no_relation=None,
        pooling="marks",
        **kwargs,
    ):
        super().__init__(backbone, head, tokenizer, **kwargs)
        self.labels = tuple(labels)
        self.no_relation, self.pooling = no_relation, pooling
        self.class_weight = None
        self.label_smoothing = self.focal_gamma = self.rdrop_alpha = 0.0

    @classmethod
    def from_pretrained(  # noqa: PLR0913 - each named by the user
        cls,
        checkpoint,
        labels: Sequence[str] | None = None,
        *,
        no_relation: str | None = None,
        pooling: str | None = None,
        max_length: int | None = None,
        precision: str = "float32",
        new_head: bool = False,
        revision: str | None = None,
    ):
        """Load a checkpoint; a head in it is loaded where its relations are the same.

        Args:
            checkpoint: a local folder or a name on the Hugging Face hub.
            labels: names of the relations; None: the checkpoint's own.
            no_relation: the one of them that says that there is none, which precision,
                recall and F1 leave out; None: as the checkpoint says, else all count.
            pooling: what stands for a mention: "marks", the state of the mark before
                it; "mentions", the mean of all states from that mark to the one after
                it. None: as the checkpoint says, else "marks".
            max_length: of longer texts the tokens nearest to the mentions are kept;
                None: as many as the model takes.
            precision: "float32", "mixed_bfloat16" or "mixed_float16".
            new_head: start with a new last layer even if the checkpoint has one.
            revision: branch, tag or commit on the hub.

        Raises:
            CheckpointError: no such checkpoint; its head is for other relations.
            SettingsError: an unknown pooling or precision; no relations known.
        """
        if pooling not in (None, *POOLINGS):
            raise SettingsError(
                f"pooling is {pooling!r}; known: {', '.join(POOLINGS)}."
            )

        def plan_head(config, tensors):
            names = label_names(labels, config.labels, new_head)
            nothing = no_relation
            same = names == config.labels and config.no_relation_id is not None
            if nothing is None and same and config.no_relation_id < len(names):
                nothing = names[config.no_relation_id]
            if nothing is not None and nothing not in names:
                raise SettingsError(
                    f"no_relation is {nothing!r}, which is none of the labels: "
                    f"{', '.join(names)}."
                )
            own = pooling or config.mention_pooling or "marks"
            arguments = {"labels": names, "no_relation": nothing, "pooling": own}
            new_layers = ("logits",) if new_head else ()
            return HeadPlan(
                replace(config, labels=names), len(names), arguments, new_layers
            )

        return cls._load(checkpoint, revision, max_length, precision, plan_head)

    def call(self, inputs, training=None):
        """Compute the logits."""
        hidden = self.backbone(inputs, training=training)
        return self.head(hidden, inputs["mention_ids"], training=training)

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
            loss: a Keras loss; None: cross-entropy.
            metrics: a list of Keras metrics; None: accuracy, and precision, recall and
                F1 of what is not `no_relation`.
            class_weight: relation -> weight of its rows in the loss.
            label_smoothing, focal_gamma, rdrop_alpha: as of `TextClassifier.compile`.
            **options: of `Task.compile` and `keras.Model.compile`.

        Raises:
            SettingsError: weights for relations that there are not; one of these four
                beside a loss of your own.
        """
        if loss is not None and (
            class_weight or label_smoothing or focal_gamma or rdrop_alpha
        ):
            raise SettingsError(
                "class_weight, label_smoothing, focal_gamma and rdrop_alpha belong to "
                "the task's own loss: leave out `loss`."
            )
        self.class_weight = ordered_weights(class_weight, self.labels)
        self.label_smoothing, self.focal_gamma = label_smoothing, focal_gamma
        self.rdrop_alpha = rdrop_alpha
        super().compile(optimizer, loss, metrics, **options)

    def default_loss(self):
        """Cross-entropy of each row."""
        loss = losses.CrossEntropy(
            self.label_smoothing, self.class_weight, self.focal_gamma
        )
        return RDrop(loss, self.rdrop_alpha) if self.rdrop_alpha else loss

    def default_metrics(self):
        """Accuracy; precision, recall and F1 of what is not `no_relation`."""
        nothing = self.no_relation
        number = None if nothing is None else self.labels.index(nothing)
        return [metrics.Accuracy(), RelationScores(number)]

    # --- rows

    def fed(self, rows):
        """Texts with both mentions marked."""
        labels = self.label_array(rows)  # Before the long work.
        found = relation_examples(_checked(rows), self.tokenizer, self.pooling)
        return Fed(found.examples, labels, extras={"mention_ids": found.mention_ids})

    def label_array(self, rows):
        """Number of each row's relation, int32 (rows,); None without labels.

        Raises:
            DataError: rows of another kind; unknown relations.
        """
        rows = _checked(rows)
        return rows.label_array(self.labels) if rows.has_labels else None

    def predict_rows(self, rows, batch_size=32):
        """Logits of rows, in their order: float32 (rows, relations)."""
        found = relation_examples(_checked(rows), self.tokenizer, self.pooling)
        logits = np.empty((len(rows), len(self.labels)), "float32")
        extras = {"mention_ids": found.mention_ids}
        outputs = self.outputs(found.examples, batch_size, extras=extras)
        for chosen, output in outputs:
            logits[chosen] = output
        return logits

    def predict_text(self, texts: Sequence[Mapping], batch_size=32):
        """The relation of two mentions of each text.

        Args:
            texts: list of {"text": str, "head": (start, end), "tail": (start, end)},
                characters without the last; or a list of words, and numbers of words.
            batch_size: texts worked on at once.

        Returns:
            For each a dict: `label` and `score` (its probability).

        Raises:
            DataError: a text or a place is missing, or is none.
        """
        if isinstance(texts, str | Mapping):
            raise SettingsError(
                'predict_text takes a list: [{"text": ..., "head": ..., "tail": ...}].'
            )
        if not len(texts):
            return []
        return self.described(self.predict_rows(relations_of(texts), batch_size))

    def described(self, logits):
        """`label` and `score` (its probability) of each row of logits."""
        chances = self.probabilities(logits)
        return [
            {"label": self.labels[i], "score": float(row[i])}
            for row, i in zip(chances, chances.argmax(-1), strict=True)
        ]

    def probabilities(self, logits):
        """Softmax of logits (rows, relations), float32."""
        logits = np.asarray(logits, "float32")
        parts = np.exp(logits - logits.max(-1, keepdims=True))
        return parts / parts.sum(-1, keepdims=True)

    def export(self, folder, rows=None, *, signature="text"):
        """Write a SavedModel that takes strings and loads without kerasft.

        `serving_default(text, head, tail)`, the latter int32 (batch, 2) with start and
        end in characters, gives `label`, `score` and `probabilities`. It is written
        only if it gives what the task gives, on `rows` and on adversarial texts.

        Args:
            folder: where to; an earlier export there is replaced.
            rows: your own rows, to verify on (the first thousand).
            signature: "text"; token ids alone would lack the mentions.

        Raises:
            VerificationError: it does not give what the task gives.
            UnsupportedTokenizerError: this kind of tokenizer has no exact graph.
        """
        export_relation_extractor(self, folder, rows, signature)

    def saved_config(self):
        """The backbone's config, with relations and pooling."""
        nothing = self.no_relation
        return replace(
            self.backbone.config,
            labels=self.labels,
            mention_pooling=self.pooling,
            no_relation_id=None if nothing is None else self.labels.index(nothing),
        )


def _checked(rows):
    if not isinstance(rows, RelationRows):
        raise DataError(
            f"{rows!r}: this task takes texts with two mentions. Read them with "
            "read_relations_jsonl, or make them by from_relations."
        )
    return rows
