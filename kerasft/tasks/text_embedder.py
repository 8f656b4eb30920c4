"""Texts to vectors: what means the same lies together.

The backbone's hidden states are pooled to one vector a text. Rows of several texts
train it: each text goes through by itself, and a loss compares their vectors.

Source: Reimers & Gurevych 2019 (arXiv:1908.10084).
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from keras import ops

from kerasft._errors import SettingsError
from kerasft.checkpoints.folders import atomic_folder
from kerasft.data.text_columns import TextColumns, encode_columns
from kerasft.objectives import embedding_metrics as metrics
from kerasft.objectives.embedding_losses import EMBEDDING_LOSSES
from kerasft.objectives.neighbours import cosines, nearest_rows
from kerasft.tasks import embedder_rows
from kerasft.tasks.embedder_files import OWN_FILES, EmbedderParts, write_parts
from kerasft.tasks.exporting import export_text_embedder
from kerasft.tasks.feeding import Fed
from kerasft.tasks.loading import precision_policy
from kerasft.tasks.task import Task
from kerasft.tasks.vector_archive import VectorArchive

METRICS = {
    "ranking": metrics.RetrievalAccuracy,
    "symmetric_ranking": metrics.RetrievalAccuracy,
    "triplet": metrics.TripletAccuracy,
    "cosine": metrics.CosinePearson,
    "contrastive": metrics.CosinePearson,
    "classes": metrics.NeighbourAccuracy,
}


class TextEmbedder(VectorArchive, Task):
    """Vectors (batch, size) of texts; of ids (batch, columns, length) one for each.

    Args:
        backbone: hidden states of token ids.
        head: a `Pooling`.
        tokenizer: the checkpoint's.
        prompts: name -> what a text of that kind begins with, as the checkpoint tells.
    """

    head_name = "text_embedder"

    def __init__(self, backbone, head, tokenizer, prompts=None, **kwargs):
        super().__init__(backbone, head, tokenizer, **kwargs)
        self.prompts = dict(prompts or {})

    @classmethod
    def serves(cls, family):
        """Any family: pooling needs no head of its own."""
        return True

    @classmethod
    def from_pretrained(
        cls,
        checkpoint,
        *,
        pooling: str | None = None,
        normalise: bool | None = None,
        max_length: int | None = None,
        precision: str = "float32",
        revision: str | None = None,
    ):
        """Load a folder of sentence-transformers, or any checkpoint's backbone.

        Args:
            checkpoint: a local folder or a name on the Hugging Face hub.
            pooling: "cls", "mean", "max" or "last"; None: as the checkpoint tells, else
                the mean.
            normalise: whether vectors have length 1; None: as the checkpoint tells,
                else not.
            max_length: longer texts are cut to this many tokens; None: as the
                checkpoint tells, else as many as the model takes.
            precision: of the backbone: "float32", "mixed_bfloat16" or "mixed_float16".
            revision: branch, tag or commit on the hub.

        Raises:
            CheckpointError: no such checkpoint, or it does not fit, or it has modules
                that are not known here.
            SettingsError: an unknown precision.
            UnknownNameError: an unknown pooling.
        """
        parts = EmbedderParts.read(checkpoint, revision, max_length)
        with precision_policy(precision):
            backbone, head = parts.built(pooling, normalise)
            # Here, because Keras scales the loss by the task's own precision.
            task = cls(backbone, head, parts.tokenizer, parts.layout.prompts)
        parts.load(backbone, head)
        parts.source.complete(task)
        return task

    def call(self, inputs, training=None):
        """Compute the vectors."""
        shape = ops.shape(inputs["input_ids"])
        if len(shape) == 2:
            return super().call(inputs, training=training)
        flat = {key: ops.reshape(ids, (-1, shape[2])) for key, ids in inputs.items()}
        vectors = super().call(flat, training=training)
        return ops.reshape(vectors, (-1, shape[1], self.head.size))

    def compile(self, optimizer=None, loss=None, metrics=None, **options):
        """Make ready for `fit`; what is not given is the task's own.

        Args:
            optimizer: None: `kerasft.adamw()`.
            loss: "ranking" (for pairs, triples, and texts alone, which is SimCSE; None
                is this one), "symmetric_ranking" (for pairs), "triplet" (for triples),
                "cosine" or "contrastive" (for scored pairs), "classes" (for texts
                with a class); or one of `objectives.embedding_losses`, made with other
                numbers; or a Keras loss of labels and vectors (batch, columns, size).
                On several devices a row of the first two and of the last meets the
                rows of its own device.
            metrics: a list of Keras metrics; None: what fits the loss.
            **options: of `Task.compile` and `keras.Model.compile`.

        Raises:
            SettingsError: micro batches with a loss that compares the rows of a batch.
            UnknownNameError: an unknown loss.
        """
        if loss is None or isinstance(loss, str):
            loss = EMBEDDING_LOSSES[loss or "ranking"]()
        if metrics is None:
            kind = METRICS.get(getattr(loss, "name", None))
            metrics = [kind()] if kind else []
        if options.get("micro_batches", 1) > 1 and getattr(loss, "in_batch", False):
            raise SettingsError(
                f"The {loss.name} loss compares each row with all others of its batch, "
                "so a batch cannot be worked through in micro_batches. Take a smaller "
                "batch_size, or a loss of single rows: triplet, cosine, contrastive."
            )
        super().compile(optimizer, loss, metrics, **options)

    def default_loss(self):
        """Ranking, among the texts of a batch."""
        return EMBEDDING_LOSSES["ranking"]()

    def default_metrics(self):
        """How often a text's own partner is the nearest of the batch."""
        return [metrics.RetrievalAccuracy()]

    # --- rows

    @staticmethod
    def loss_for(rows) -> str:
        """Name of the usual loss for such rows.

        Raises:
            DataError: rows of no kind that an embedder takes.
        """
        return embedder_rows.USUAL_LOSSES[embedder_rows.kind_of(rows)]

    def fed(self, rows):
        """Each text of the rows by itself; a text alone twice, as SimCSE wants it."""
        kind, labels = embedder_rows.kind_of(rows), self.label_array(rows)
        if labels is None:
            labels = np.zeros(len(rows), "int32")
        examples = encode_columns(rows, self.tokenizer)
        if kind == "texts":
            examples = TextColumns(examples.columns * 2)
        return Fed(examples, labels)

    def label_array(self, rows):
        """Scores, float32 (rows,), or class numbers, int32 (rows,); None without.

        Raises:
            DataError: rows of no kind that an embedder takes.
        """
        return embedder_rows.labels_of(rows)

    def predict_rows(self, rows, batch_size=32):
        """Vectors of rows, in their order; batches are grouped by length inside.

        Returns:
            float32 (rows, size); of rows of several texts (rows, columns, size).
        """
        found = []
        for examples in encode_columns(rows, self.tokenizer).columns:
            vectors = np.empty((len(examples), self.head.size), "float32")
            for chosen, outputs in self.outputs(examples, batch_size):
                vectors[chosen] = outputs
            found.append(vectors)
        return found[0] if len(found) == 1 else np.stack(found, axis=1)

    def score_rows(self, rows, batch_size=32) -> dict[str, float]:
        """How good the vectors are, over all rows at once.

        Returns:
            Of scored pairs `spearman` and `pearson` of the cosine; of pairs
            `retrieval_accuracy` and `mrr` of finding each text's partner among all; of
            triples `triplet_accuracy`; of texts with classes `neighbour_accuracy`.

        Raises:
            DataError: rows that do not say which texts should be near one another.
        """
        embedder_rows.raise_unless_told(rows)
        return embedder_rows.scores_of(rows, self.predict_rows(rows, batch_size))

    # --- texts

    def encode(self, texts: Sequence[str], batch_size=32) -> np.ndarray:
        """Vectors of texts, float32 (texts, size)."""
        from kerasft.data.corpus import from_lists

        if isinstance(texts, str):
            raise SettingsError("encode takes a list of texts: [text].")
        if not len(texts):
            return np.zeros((0, self.head.size), "float32")
        return self.predict_rows(from_lists(list(texts)), batch_size)

    def described(self, logits):
        """Vectors as lists of floats."""
        return np.asarray(logits).tolist()

    def similarity(self, one, other) -> np.ndarray:
        """Cosines of all texts of one list with all of another.

        Args:
            one: list of n texts, or their vectors (n, size).
            other: list of m texts, or their vectors (m, size).

        Returns:
            float32 (n, m), -1 to 1.
        """
        return cosines(self._vectors(one), self._vectors(other))

    def nearest(self, queries, corpus, top=5) -> list[list[dict]]:
        """The texts of a corpus that are nearest to each query, by cosine; exact.

        Args:
            queries: list of texts, or their vectors (n, size).
            corpus: list of texts, or their vectors (m, size).
            top: how many, if there are so many.

        Returns:
            Of each query a list of dicts, the nearest first: `number` in the corpus,
            `score`, the cosine, and, of texts, `text`.
        """
        if top < 1:
            raise SettingsError(f"top is {top}; at least 1.")
        numbers, scores = nearest_rows(
            self._vectors(queries), self._vectors(corpus), top
        )
        are_texts = len(corpus) > 0 and isinstance(corpus[0], str)
        return [
            [
                {"number": int(i), "score": float(score)}
                | ({"text": corpus[i]} if are_texts else {})
                for i, score in zip(*row, strict=True)
            ]
            for row in zip(numbers, scores, strict=True)
        ]

    def _vectors(self, given):
        """Vectors as they are given, or of texts."""
        if not len(given) or isinstance(given, str) or isinstance(given[0], str):
            return self.encode(given)
        vectors = np.asarray(given, "float32")
        if vectors.ndim != 2 or vectors.shape[1] != self.head.size:
            raise SettingsError(
                f"The vectors have shape {vectors.shape}, this model's have "
                f"{self.head.size} numbers each. Give texts, or vectors of encode()."
            )
        return vectors

    # --- files

    def export(self, folder, rows=None, *, signature="text"):
        """As `TokenClassifier.export`; `serving_default(text)` gives `embedding`."""
        export_text_embedder(self, folder, rows, signature)

    def saved_config(self):
        """The backbone's config, without a head's labels."""
        return replace(self.backbone.config, labels=(), problem_type=None)

    def save_pretrained(self, folder):
        """Write a folder that sentence-transformers and `AutoModel` load, whole.

        Raises:
            CheckpointError: the folder holds something that is no checkpoint.
        """
        with self.plain_weights(), atomic_folder(folder, own_files=OWN_FILES) as new:
            write_parts(
                new,
                self.backbone,
                self.saved_config(),
                self.head,
                self.tokenizer,
                self.prompts,
            )

    def load_saved(self, folder):
        """Load the weights that `save_pretrained` of this task has written."""
        EmbedderParts.read(folder, None, None).load(self.backbone, self.head)
