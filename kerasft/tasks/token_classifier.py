"""A tag for every word: entities, parts of speech.

Tags stand on the first token of each word. Long texts are cut into windows that
overlap, and put together again. With a conditional random field whole tag sequences
are scored instead of single tags.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from keras import ops

from kerasft._errors import DataError, SettingsError
from kerasft.data.tagging import tag_examples
from kerasft.layers.chain_decoder import decoder_of
from kerasft.layers.crf import CRF
from kerasft.objectives import losses, metrics
from kerasft.objectives.chain_loss import ChainLoss
from kerasft.objectives.consistency import RDrop
from kerasft.objectives.span_metrics import EntityScores
from kerasft.objectives.spans import OUTSIDE, TagSet
from kerasft.tasks.exporting import export_token_classifier
from kerasft.tasks.feeding import Fed
from kerasft.tasks.labels import label_names, ordered_weights
from kerasft.tasks.loading import HeadPlan
from kerasft.tasks.tag_decoding import best_sequences, best_tags, word_logits
from kerasft.tasks.task import Task


class TokenClassifier(Task):
    """Logits (batch, length, tags) of tokens.

    Args, beside those of `Task`:
        labels: tags, in the order of the logits.
        scheme: how tags make entities: a key of `objectives.spans.SCHEMES`, or None.
        overlap: tokens that neighbouring windows share; None: a quarter of a window.
    """

    head_name = "token_classifier"

    def __init__(
        self, backbone, head, tokenizer, labels, scheme=None, overlap=None, **kwargs
    ):
        super().__init__(backbone, head, tokenizer, **kwargs)
        self.labels = tuple(labels)
        self.tag_set = TagSet(self.labels, scheme)
        self.overlap = overlap
        if head.crf:
            self.decode_chain = decoder_of(head.crf)
        self.class_weight = None
        self.label_smoothing = self.focal_gamma = self.rdrop_alpha = 0.0

    @classmethod
    def from_pretrained(  # noqa: PLR0913 - each named by the user
        cls,
        checkpoint,
        labels: Sequence[str] | None = None,
        *,
        scheme: str | None = None,
        crf: bool | None = None,
        overlap: int | None = None,
        max_length: int | None = None,
        precision: str = "float32",
        new_head: bool = False,
        revision: str | None = None,
    ):
        """Load a checkpoint; a head in it is loaded where its tags are the same.

        Args:
            checkpoint: a local folder or a name on the Hugging Face hub.
            labels: the tags; None: the checkpoint's own.
            scheme: "IOB1", "IOB2", "IOE1", "IOE2", "IOBES" or "BILOU": entities as
                seqeval's strict mode counts them; None: as the checkpoint says, else
                as its default mode does.
            crf: whether a conditional random field scores whole tag sequences; None:
                as the checkpoint has it. With a `scheme` it allows only sequences that
                are well formed.
            overlap: tokens that neighbouring windows of a long text share; None: a
                quarter of a window.
            max_length: tokens of a window; None: as many as the model takes.
            precision: "float32", "mixed_bfloat16" or "mixed_float16".
            new_head: start with a new last layer even if the checkpoint has one.
            revision: branch, tag or commit on the hub.

        Raises:
            CheckpointError: no such checkpoint; its head is for other tags.
            SettingsError: an unknown scheme or precision; no tags known.
        """

        def plan_head(config, tensors):
            names = label_names(labels, config.labels, new_head)
            own = config.tag_scheme if scheme is None else scheme
            has_crf = "crf.transitions" in tensors
            arguments = {"labels": names, "scheme": own, "overlap": overlap}
            options = {}
            if has_crf if crf is None else crf:
                options = cls.head_options(arguments)
            new_layers = ("logits", "crf") if new_head else ()
            if options and not has_crf:
                new_layers += ("crf",)
            config = replace(config, labels=names)
            return HeadPlan(config, len(names), arguments, new_layers, options)

        return cls._load(checkpoint, revision, max_length, precision, plan_head)

    @classmethod
    def head_options(cls, arguments):
        """The chain that scores tag sequences."""
        names, scheme = arguments["labels"], arguments["scheme"]
        return {"crf": CRF(len(names), TagSet(names, scheme).allowed, name="crf")}

    @property
    def finds_entities(self) -> bool:
        """Whether tags make entities (B-PER, O), not just classes of words (NOUN)."""
        return OUTSIDE in self.labels

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
            loss: a Keras loss; None: cross-entropy of each word, or of whole tag
                sequences with a conditional random field.
            metrics: a list of Keras metrics; None: accuracy of words, and precision,
                recall and F1 of entities.
            class_weight: tag -> weight of its words in the loss.
            label_smoothing: share of the target given to all tags alike.
            focal_gamma: how much less words count that are right already.
            rdrop_alpha: as of `TextClassifier.compile`.
            **options: of `Task.compile` and `keras.Model.compile`.

        Raises:
            SettingsError: weights for tags that there are not; one of these four
                beside a loss of your own, or with a conditional random field.
        """
        weighs = class_weight or label_smoothing or focal_gamma or rdrop_alpha
        if weighs and (loss is not None or self.head.crf):
            raise SettingsError(
                "class_weight, label_smoothing, focal_gamma and rdrop_alpha are of "
                "single words: leave out `loss`, and not with crf=True, which scores "
                "whole sequences."
            )
        self.class_weight = ordered_weights(class_weight, self.labels)
        self.label_smoothing, self.focal_gamma = label_smoothing, focal_gamma
        self.rdrop_alpha = rdrop_alpha
        super().compile(optimizer, loss, metrics, **options)

    def default_loss(self):
        """Cross-entropy of each word, or of whole tag sequences."""
        if self.head.crf:
            return ChainLoss(self.head.crf)
        loss = losses.CrossEntropy(
            self.label_smoothing, self.class_weight, self.focal_gamma
        )
        return RDrop(loss, self.rdrop_alpha) if self.rdrop_alpha else loss

    def default_metrics(self):
        """Accuracy of words; for entities precision, recall and F1, else macro F1."""
        if self.finds_entities:
            return [metrics.Accuracy(), EntityScores(self.tag_set)]
        return [metrics.Accuracy(), metrics.F1(len(self.labels))]

    def compute_metrics(self, x, y, y_pred, sample_weight=None):
        """As Keras does; of a conditional random field the best tag sequences."""
        if self.head.crf and y is not None:
            tags, _ = self.head.crf.decode(y_pred, ops.not_equal(y, losses.IGNORED))
            y_pred = ops.one_hot(tags, len(self.labels), dtype="float32")
        return super().compute_metrics(x, y, y_pred, sample_weight=sample_weight)

    # --- rows

    def fed(self, rows):
        """Windows of tagged rows, with a label for each token."""
        found = self._examples(rows)
        return Fed(found.examples, found.labels, per_token=True, rows=found.rows)

    def label_array(self, rows):
        """Tags of all words (words,), -100 where a word has no token; or None."""
        return self._examples(rows).tags

    def true_tags(self, rows):
        """Of each row its tags, int32 (words,); as `predict_rows` gives them."""
        found = self._examples(rows)
        bounds = found.bounds
        return [found.tags[a:b] for a, b in zip(bounds, bounds[1:], strict=False)]

    def _examples(self, rows):
        if getattr(rows, "kind", None) not in ("words", "spans"):
            raise DataError(
                f"{rows!r}: this task takes tagged rows. Read them with read_conll, "
                "read_conllu or read_tagged_jsonl, or make them by from_tags."
            )
        table = self.tag_set.inside
        return tag_examples(rows, self.tokenizer, self.labels, self.overlap, table)

    def predict_rows(self, rows, batch_size=32):
        """The best tag of each word, and how likely it is.

        Returns:
            Of each row (tags, chances): int32 and float32 (words,). A word without a
            token, such as a lone zero-width mark, is O (or the first tag) with chance
            0. With a conditional random field chances are marginal.
        """
        return self._decoded(self._examples(rows), batch_size)

    def _decoded(self, found, batch_size):
        logits = word_logits(self, found, batch_size)
        default = self.labels.index(OUTSIDE) if self.finds_entities else 0
        if self.head.crf:
            return best_sequences(self.decode_chain, logits, default)
        return [best_tags(row, default) for row in logits]

    def predict_text(self, texts, batch_size=32):
        """Entities of texts; without entities, every word with its tag.

        Args:
            texts: list of str, or list of lists of words (whose text is then the words
                with a space between).
            batch_size: windows worked on at once.

        Returns:
            Of each text a list of dicts: `text`, `label`, `start`, `end` (characters)
            and `score` (the mean chance of its words' tags).
        """
        from kerasft.data.tag_readers import from_spans, from_tags

        if isinstance(texts, str):
            raise SettingsError("predict_text takes a list of texts: [text].")
        if not len(texts):
            return []
        split = not isinstance(texts[0], str)
        rows = from_tags(texts) if split else from_spans(texts)
        whole = [" ".join(words) for words in texts] if split else texts
        found = self._examples(rows)
        return [
            self._described(text, found, i, *row)
            for i, (text, row) in enumerate(
                zip(whole, self._decoded(found, batch_size), strict=True)
            )
        ]

    def described(self, logits):
        """Names of the best tags, one list a row of `logits` (rows, length, tags)."""
        return [[self.labels[i] for i in row] for row in logits.argmax(-1)]

    def _described(self, text, found, row, tags, chances):
        first = found.bounds[row]
        starts = found.starts[first : first + len(tags)]
        ends = found.ends[first : first + len(tags)]
        if self.finds_entities:
            spans = self.tag_set.entities(tags)
        else:
            spans = [(self.labels[t], i, i + 1) for i, t in enumerate(tags)]
        return [
            {
                "text": text[starts[begin] : ends[stop - 1]],
                "label": label,
                "start": int(starts[begin]),
                "end": int(ends[stop - 1]),
                "score": float(chances[begin:stop].mean()),
            }
            for label, begin, stop in spans
        ]

    def export(self, folder, rows=None, *, signature="text"):
        """Write a SavedModel that takes strings and loads without kerasft.

        `serving_default(text)` gives the entities of all texts, one after the other:
        `row`, `label`, `start`, `end`, `text`, `score`; `tokens` takes token ids. It is
        written only if its tokenizer gives the reference's tokens and characters, and
        its entities are the task's, on `rows` and on adversarial texts.

        Args:
            folder: where to; an earlier export there is replaced.
            rows: your own rows, to verify on (the first thousand).
            signature: "text", or "tokens" for token ids alone.

        Raises:
            VerificationError: it does not give what the task gives.
            UnsupportedTokenizerError: this kind of tokenizer has no exact graph.
        """
        export_token_classifier(self, folder, rows, signature)

    def saved_config(self):
        """The backbone's config, with tags and scheme."""
        own = {"labels": self.labels, "tag_scheme": self.tag_set.scheme}
        return replace(self.backbone.config, **own)
