"""A classifier from a few labelled texts: vectors first, then a head on them.

Pairs of the texts train an embedder, so that texts of one class lie together; then the
best logistic head on the vectors is computed. Eight texts a class are often enough.

Source: Tunstall et al. 2022, "Efficient Few-Shot Learning Without Prompts"
(arXiv:2209.11055).
"""

from collections.abc import Sequence

from kerasft._errors import DataError, SettingsError
from kerasft.checkpoints.folders import atomic_folder, member
from kerasft.checkpoints.names import raise_misfits
from kerasft.checkpoints.sentence_layout import CLASSIFIER
from kerasft.checkpoints.tensors import TensorReader, write_tensors
from kerasft.layers.initializer import normal
from kerasft.layers.text_pooling import VectorHead
from kerasft.objectives.logistic import logistic_regression
from kerasft.objectives.optimizer import adamw
from kerasft.tasks.embedder_files import OWN_FILES, EmbedderParts, write_parts
from kerasft.tasks.labels import label_names
from kerasft.tasks.loading import precision_policy
from kerasft.tasks.text_classifier import TextClassifier
from kerasft.tasks.text_embedder import TextEmbedder
from kerasft.tasks.vector_archive import VectorArchive


class FewShotClassifier(VectorArchive, TextClassifier):
    """Logits (batch, labels) of texts, from their vectors.

    `fit_rows` is the recipe for a few rows; `compile` and `fit` train all weights at
    once, as those of any classifier.

    Args:
        backbone: hidden states of token ids.
        head: a `VectorHead`.
        tokenizer: the checkpoint's.
        labels: names, in the order of the logits.
        prompts: of the embedder.
    """

    head_name = "few_shot_classifier"

    def __init__(self, backbone, head, tokenizer, labels, prompts=None, **kwargs):
        super().__init__(backbone, head, tokenizer, labels, "single_label", **kwargs)
        self.prompts = dict(prompts or {})

    @classmethod
    def serves(cls, family):
        """Any family: pooling needs no head of its own."""
        return True

    @classmethod
    def from_pretrained(  # noqa: PLR0913 - each named by the user
        cls,
        checkpoint,
        labels: Sequence[str] | None = None,
        *,
        pooling: str | None = None,
        normalise: bool | None = None,
        max_length: int | None = None,
        precision: str = "float32",
        new_head: bool = False,
        revision: str | None = None,
    ):
        """Load an embedder, or any backbone; a head of ours in it is loaded, too.

        Args:
            checkpoint: a local folder or a name on the Hugging Face hub.
            labels: names of the labels; None: the checkpoint's own.
            pooling: as of `TextEmbedder.from_pretrained`.
            normalise: as well.
            max_length: as well.
            precision: as well.
            new_head: start with a new last layer even if the checkpoint has one.
            revision: branch, tag or commit on the hub.

        Raises:
            CheckpointError: no such checkpoint, or it does not fit; its head is for
                other labels.
            SettingsError: an unknown precision; no labels known.
        """
        parts = EmbedderParts.read(checkpoint, revision, max_length)
        has_head = member(parts.folder, f"{CLASSIFIER}.safetensors").exists()
        own = parts.config.labels if has_head else ()
        names = label_names(labels, own, new_head)
        with precision_policy(precision):
            backbone, vectors = parts.built(pooling, normalise, name="pooling")
            draw = normal(parts.config.initializer_range)
            head = VectorHead(vectors, len(names), draw, name="head")
            head.build((None, None, parts.config.hidden_size))
            task = cls(backbone, head, parts.tokenizer, names, parts.layout.prompts)
        parts.load(backbone, vectors)
        task.checkpoint = parts.source.name
        if has_head and not new_head:
            _load_logits(head, parts.folder)
        else:
            task.fresh_weights = ("logits/kernel", "logits/bias")
        return task

    @property
    def embedder(self) -> TextEmbedder:
        """The task up to its vectors; the weights are the same ones."""
        vectors = self.head.pooling
        return TextEmbedder(self.backbone, vectors, self.tokenizer, self.prompts)

    def fit_rows(  # noqa: PLR0913 - each named by the user
        self,
        rows,
        *,
        pairs_per_row: int | None = None,
        epochs: int = 1,
        batch_size: int = 16,
        learning_rate: float = 2e-5,
        strength: float = 1.0,
        seed: int = 0,
        **options,
    ):
        """Learn from a few rows: vectors from pairs, then the head.

        Args:
            rows: texts with one label each, two or more of a label.
            pairs_per_row: for each row so many partners of its own label and so many
                of others; None: all pairs, as `class_pairs` has them: their number
                grows with the square of the rows'.
            epochs: passes over the pairs; 0: the vectors stay as they are.
            batch_size: pairs of one step.
            learning_rate: its peak, after a tenth of the steps.
            strength: how far rows may pull the head's weights from 0 (see
                `objectives.logistic`).
            seed: of pairs and order; dropout follows `keras.utils.set_random_seed`.
            **options: of `fit`, such as callbacks and verbose.

        Returns:
            The `History` of the pairs; None with 0 epochs.

        Raises:
            DataError: rows of another kind, or a label that has none.
            SettingsError: there is an adapter.
        """
        from kerasft.data.class_pairs import class_pairs

        if self.adapters:
            raise SettingsError(
                "fit_rows trains the whole backbone. With an adapter call compile() "
                "and fit(), or delete it first."
            )
        classes = self._classes(rows)  # Before the long work.
        history = None
        if epochs:
            embedder = self.embedder
            pairs = class_pairs(rows, pairs_per_row, seed)
            embedder.compile(adamw(learning_rate), "cosine")
            batches = embedder.dataset(pairs, batch_size, training=True, seed=seed)
            history = embedder.fit(batches, epochs=epochs, **options)
        self._fit_head(rows, classes, strength)
        return history

    def _classes(self, rows):
        """Class numbers, of each label at least one."""
        classes = self.label_array(rows)
        if classes is None or rows.has_pairs:
            raise DataError(
                f"{rows!r}: learnt from are single texts with a label each."
            )
        missing = [name for name in self.labels if not rows.label_counts.get(name)]
        if missing:
            raise DataError(
                f"{rows!r}: has no row of {', '.join(missing)}. Add some, or leave the "
                "label out of the task's labels."
            )
        return classes

    def _fit_head(self, rows, classes, strength):
        vectors = self.embedder.predict_rows(rows)
        kernel, bias = logistic_regression(vectors, classes, len(self.labels), strength)
        self.head.logits.kernel.assign(kernel)
        self.head.logits.bias.assign(bias)
        self.fresh_weights = ()

    # --- files

    def save_pretrained(self, folder):
        """Write the embedder's folder, with the head in a file of its own.

        sentence-transformers and `AutoModel` load it, without the head: no class of
        transformers has such a one.

        Raises:
            CheckpointError: the folder holds something that is no checkpoint.
        """
        with self.plain_weights(), atomic_folder(folder, own_files=OWN_FILES) as new:
            logits = self.head.logits
            tensors = {
                "linear.weight": logits.kernel.numpy().T,
                "linear.bias": logits.bias.numpy(),
            }
            write_tensors(new, tensors.items(), stem=CLASSIFIER)
            write_parts(
                new,
                self.backbone,
                self.saved_config(),
                self.head.pooling,
                self.tokenizer,
                self.prompts,
            )

    def load_saved(self, folder):
        """Load the weights that `save_pretrained` of this task has written."""
        parts = EmbedderParts.read(folder, None, None)
        parts.load(self.backbone, self.head.pooling)
        _load_logits(self.head, folder)


def _load_logits(head, folder):
    """Fill the last layer from a saved folder.

    Raises:
        CheckpointError: it is not of this size.
    """
    reader = TensorReader(folder, stem=CLASSIFIER)
    kernel = head.logits.kernel
    raise_misfits(
        folder,
        [
            f"{CLASSIFIER}.safetensors: {key} must have shape {shape}"
            for key, shape in (
                ("linear.weight", tuple(kernel.shape)[::-1]),
                ("linear.bias", tuple(kernel.shape)[1:]),
            )
            if key not in reader or reader.shape(key) != shape
        ],
    )
    kernel.assign(reader.read("linear.weight").T)
    head.logits.bias.assign(reader.read("linear.bias"))
