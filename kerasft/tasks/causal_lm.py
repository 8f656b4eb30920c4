"""The next token of a text: how decoders are pretrained, and how they write.

Rows are plain texts, of any length; labels are not looked at. In a batch the label of a
place is the token that follows, -100 where none is scored.

Source: Radford et al. 2018, "Improving Language Understanding by Generative
Pre-Training", section 3.1.
"""

from dataclasses import dataclass

import numpy as np
from keras import ops

from kerasft._errors import SettingsError
from kerasft.data.corpus import from_lists
from kerasft.data.documents import documents_of
from kerasft.data.packing import PackedRows, full_windows, one_per_row, stretches_of
from kerasft.data.windows import frame_of
from kerasft.objectives import losses
from kerasft.sampling.generate import compiled
from kerasft.tasks.feeding import Fed
from kerasft.tasks.generating import Generating
from kerasft.tasks.plain_text_task import PlainTextTask

IGNORED = -100


class CausalLM(Generating, PlainTextTask):
    """Logits (batch, length, vocabulary) of the token after each.

    Args:
        backbone: hidden states of token ids, of tokens before alone.
        head: logits of hidden states.
        tokenizer: the checkpoint's.
        pack: whether texts follow one another in rows that are all full; else each is
            a row of its own, or several.
        separate: whether packed texts do not see one another.
    """

    head_name = "causal_lm"

    def __init__(
        self, backbone, head, tokenizer, *, pack: bool = True, separate: bool = True, **k
    ):
        super().__init__(backbone, head, tokenizer, **k)
        self.pack = pack
        self.separate = separate
        self._score = None

    def call(self, inputs, training=None):
        """Compute the logits."""
        hidden = self.backbone(inputs, training=training)
        return self.head(hidden, self.backbone.token_table)

    def default_loss(self):
        """Cross-entropy of each token, given those before."""
        return losses.CrossEntropy()

    def default_metrics(self):
        """None: perplexity is e to the loss, and told beside it."""
        return []

    def compute_metrics(self, x, y, y_pred, sample_weight=None):
        """As Keras does; with the perplexity of a loss that is a cross-entropy."""
        told = super().compute_metrics(x, y, y_pred, sample_weight)
        if isinstance(self.item_loss, losses.CrossEntropy) and "loss" in told:
            told["perplexity"] = ops.exp(told["loss"])
        return told

    @property
    def end_ids(self):
        """Ids of the tokens that end a text."""
        return self.backbone.config.end_ids

    # --- rows

    def fed(self, rows):
        """Texts, each with the end of text behind it, in full rows or in their own."""
        documents = self._documents(rows)
        length, pad_id = self.tokenizer.max_length, self.tokenizer.pad_id
        if self.pack:
            packed = full_windows(documents, length, pad_id, self.separate)
        else:
            packed = one_per_row(stretches_of(documents, length), length, pad_id)
        return Fed(packed, None, rows=packed.rows, make=NextTokens(packed))

    def _documents(self, rows):
        frame = frame_of(self.tokenizer)
        separator = frame.ids[-1] if len(frame.ids[-1]) else self.end_ids[:1]
        return documents_of(rows, self.tokenizer, frame.ids[0], separator)

    def predict_rows(self, rows, batch_size=32):
        """Log-likelihood of each token of each row but its first, given those before.

        Returns:
            Of each row float32 (tokens - 1,), the end of text included.
        """
        documents = self._documents(rows)
        length = self.tokenizer.max_length
        packed = one_per_row(stretches_of(documents, length), length)
        found = [[] for _ in range(len(rows))]
        for chosen, logs in self._log_likelihoods(packed, batch_size):
            for i, row in zip(chosen, logs, strict=True):
                found[packed.rows[i]].append((i, row[: packed.lengths[i] - 1]))
        return [
            np.concatenate([row for _, row in sorted(parts, key=lambda part: part[0])])
            if parts
            else np.zeros(0, "float32")
            for parts in found
        ]

    def _log_likelihoods(self, packed, batch_size):
        """Yield row numbers and log-likelihoods of their next tokens (rows, length)."""
        from kerasft.data.pipeline import Batches

        if self._score is None:
            self._score = compiled(self._of_labels)
        plan = self._plan(packed, batch_size)
        order = plan.order(0)
        batches = Batches(packed, plan, make=NextTokens(packed))
        for step, (inputs, labels) in enumerate(batches.dataset()):
            chosen, _ = plan.batch(order, step)
            yield chosen, np.asarray(self._score(inputs, labels))

    def _of_labels(self, inputs, labels):
        logits = self(inputs, training=False)
        return -losses.CrossEntropy().call(labels, logits)

    def predict_text(self, texts, batch_size=32):
        """How likely texts are.

        Args:
            texts: list of str.
            batch_size: texts worked on at once.

        Returns:
            Of each text a dict: `log_likelihood`, the sum over its `tokens`, of which
            the first is not scored and the end of text is, and `perplexity`.
        """
        if isinstance(texts, str):
            raise SettingsError("predict_text takes a list of texts: [text].")
        if not len(texts):
            return []
        return self.described(self.predict_rows(from_lists(list(texts)), batch_size))

    def described(self, logs):
        """One dict a row, as of `predict_text`, of what `predict_rows` gives."""
        return [
            {
                "log_likelihood": float(row.sum(dtype="float64")),
                "tokens": len(row),
                "perplexity": float(np.exp(-row.mean(dtype="float64")))
                if len(row)
                else 1.0,
            }
            for row in logs
        ]


@dataclass(frozen=True)
class NextTokens:
    """Makes batches whose labels are of the token that follows: `Batches.make`.

    Args:
        packed: rows with labels of each token itself.
    """

    packed: PackedRows

    def __call__(self, chosen, width, random=None):
        """Inputs and labels of the `chosen` rows, int32 (batch, width)."""
        inputs, labels = self.packed(chosen, width, random)
        after = np.full_like(labels, IGNORED)
        after[:, :-1] = labels[:, 1:]
        return inputs, after
