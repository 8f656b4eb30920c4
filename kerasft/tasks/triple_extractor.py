"""All triples in a text at once: subjects, objects, and how each pair is related.

Mentions may lie within each other and share tokens, and a pair may have several
relations. Long texts are cut into windows that overlap.

Sources: Su et al. 2022, "Global Pointer" (arXiv:2208.03054); Su 2022, "GPLinker"
(kexue.fm/archives/8888).
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from kerasft._errors import DataError, SettingsError
from kerasft.data.triple_rows import TripleRows, from_triples
from kerasft.data.tripling import triple_examples
from kerasft.objectives.triple_loss import PairScores, TripleLoss
from kerasft.tasks.feeding import Fed
from kerasft.tasks.labels import label_names
from kerasft.tasks.loading import HeadPlan
from kerasft.tasks.relation_exports import export_triple_extractor
from kerasft.tasks.task import Task
from kerasft.tasks.triple_decoding import decoded, merged


class TripleExtractor(Task):
    """Logits (batch, 2 + 2 relations, length, length) of pairs of tokens.

    Args, beside those of `Task`:
        labels: names of the relations, in the order of the logits.
        overlap: tokens that neighbouring windows share; None: a quarter of a window.
    """

    head_name = "triple_extractor"

    def __init__(self, backbone, head, tokenizer, labels, overlap=None, **kwargs):
        super().__init__(backbone, head, tokenizer, **kwargs)
        self.labels = tuple(labels)
        self.overlap = overlap

    @classmethod
    def from_pretrained(
        cls,
        checkpoint,
        labels: Sequence[str] | None = None,
        *,
        overlap: int | None = None,
        max_length: int | None = None,
        precision: str = "float32",
        new_head: bool = False,
        revision: str | None = None,
    ):
        """Load a checkpoint; a head in it is loaded where its relations are the same.

        Args:
            checkpoint: a local folder or a name on the Hugging Face hub.
            labels: names of the relations; None: the checkpoint's own.
            overlap: tokens that neighbouring windows of a long text share; None: a
                quarter of a window. A triple farther apart may be missed.
            max_length: tokens of a window; None: as many as the model takes. Memory
                grows with its square, times the relations; 128 is usual.
            precision: "float32", "mixed_bfloat16" or "mixed_float16".
            new_head: start with a new head even if the checkpoint has one.
            revision: branch, tag or commit on the hub.

        Raises:
            CheckpointError: no such checkpoint; its head is for other relations.
            SettingsError: an unknown precision; no relations known.
        """

        def plan_head(config, tensors):
            names = label_names(labels, config.labels, new_head, least=1)
            new_layers = ("mentions", "starts", "ends") if new_head else ()
            return HeadPlan(
                replace(config, labels=names),
                len(names),
                {"labels": names, "overlap": overlap},
                new_layers,
            )

        return cls._load(checkpoint, revision, max_length, precision, plan_head)

    def default_loss(self):
        """ZLPR: right pairs of tokens above 0, all others below."""
        return TripleLoss(len(self.labels))

    def default_metrics(self):
        """Precision, recall and F1 of pairs of tokens; of triples, see `report_on`."""
        return [PairScores(len(self.labels))]

    # --- rows

    def fed(self, rows):
        """Windows of texts, with the triples in each."""
        found = self._examples(rows)
        return Fed(found.examples, found.triples, rows=found.rows)

    def label_array(self, rows):
        """Triples of all windows, int32 (windows, most triples, 5); or None."""
        return self._examples(rows).triples

    def _examples(self, rows):
        if not isinstance(rows, TripleRows):
            raise DataError(
                f"{rows!r}: this task takes texts with triples. Read them with "
                "read_triples_jsonl, or make them by from_triples."
            )
        return triple_examples(rows, self.tokenizer, self.labels, self.overlap)

    def predict_rows(self, rows, batch_size=32):
        """Triples of rows, in their order.

        Returns:
            Of each a list of tuples: first character of the subject and the one after
            its last, number of the relation, the same two of the object, score.
        """
        found = self._examples(rows)
        windows = [None] * len(found.rows)
        for chosen, outputs in self.outputs(found.examples, batch_size):
            for i, maps in zip(chosen, outputs, strict=True):
                starts, ends = found.starts[i], found.ends[i]
                length = len(starts)
                triples = decoded(maps[:, :length, :length], starts >= 0)
                windows[i] = [_in_characters(t, starts, ends) for t in triples]
        told = [[] for _ in range(len(rows))]
        for row, triples in zip(found.rows, windows, strict=True):
            told[row].append(triples)
        return [merged(triples) for triples in told]

    def predict_text(self, texts, batch_size=32):
        """Triples of texts.

        Args:
            texts: list of str.
            batch_size: windows worked on at once.

        Returns:
            Of each text a list of dicts: `subject` and `object` (each a dict of `text`,
            `start` and `end`, in characters), `relation` and `score`: above one half,
            the higher the surer, but no probability.
        """
        if isinstance(texts, str):
            raise SettingsError("predict_text takes a list of texts: [text].")
        if not len(texts):
            return []
        found = self.predict_rows(from_triples(list(texts)), batch_size)
        return [
            [self._described(text, triple) for triple in triples]
            for text, triples in zip(texts, found, strict=True)
        ]

    def _described(self, text, triple):
        start, end, relation, first, last, score = triple
        subject, thing = (
            {"text": text[a:b], "start": a, "end": b}
            for a, b in ((start, end), (first, last))
        )
        return {
            "subject": subject,
            "relation": self.labels[relation],
            "object": thing,
            "score": score,
        }

    def described(self, logits):
        """Triples in tokens of each row of logits, as `triple_decoding.decoded`."""
        return [decoded(maps, np.ones(maps.shape[-1], bool)) for maps in logits]

    def export(self, folder, rows=None, *, signature="text"):
        """Write a SavedModel that takes strings and loads without kerasft.

        `serving_default(text)` gives the triples of all texts, one after the other:
        `row`, `subject`, `subject_start`, `subject_end`, `relation`, `object`,
        `object_start`, `object_end`, `score`; `tokens` takes token ids. It is written
        only if its triples are the task's, on `rows` and on adversarial texts.

        Args:
            folder: where to; an earlier export there is replaced.
            rows: your own rows, to verify on (the first thousand).
            signature: "text", or "tokens" for token ids alone.

        Raises:
            VerificationError: it does not give what the task gives.
            UnsupportedTokenizerError: this kind of tokenizer has no exact graph.
        """
        export_triple_extractor(self, folder, rows, signature)

    def saved_config(self):
        """The backbone's config, with the relations."""
        return replace(self.backbone.config, labels=self.labels)


def _in_characters(triple, starts, ends):
    begin, end, relation, first, last, score = triple
    return (
        int(starts[begin]),
        int(ends[end]),
        relation,
        int(starts[first]),
        int(ends[last]),
        score,
    )
