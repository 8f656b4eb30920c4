"""One of several choices: how a text goes on, which answer is right.

Each choice is read together with the text; the one with the highest logit is chosen.

Source: Devlin et al. 2018 (arXiv:1810.04805), section 4.4.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from keras import ops

from kerasft._errors import DataError, SettingsError
from kerasft.data.choice_rows import ChoiceRows, choices_of
from kerasft.data.choosing import choice_examples
from kerasft.layers.attention import HIDDEN
from kerasft.objectives import losses, metrics
from kerasft.tasks.exporting import export_multiple_choice
from kerasft.tasks.feeding import Fed
from kerasft.tasks.loading import HeadPlan
from kerasft.tasks.task import Task


class MultipleChoice(Task):
    """Logits (batch, choices) of token ids (batch, choices, length).

    A choice without a token in `attention_mask` is not there: rows of fewer choices are
    filled up with such. Its probability is 0.

    Args:
        backbone: hidden states of token ids.
        head: one logit of the hidden states of a text.
        tokenizer: the checkpoint's.
    """

    head_name = "multiple_choice"

    @classmethod
    def from_pretrained(
        cls,
        checkpoint,
        *,
        max_length: int | None = None,
        precision: str = "float32",
        new_head: bool = False,
        revision: str | None = None,
    ):
        """Load a checkpoint, and its head where it has one for choices.

        Args:
            checkpoint: a local folder or a name on the Hugging Face hub.
            max_length: tokens of a text with one choice; where it is more, the text is
                cut, not the choice. None: as many as the model takes.
            precision: "float32", "mixed_bfloat16" or "mixed_float16".
            new_head: start with a new last layer even if the checkpoint has one.
            revision: branch, tag or commit on the hub.

        Raises:
            CheckpointError: no such checkpoint, or it does not fit.
            SettingsError: an unknown precision.
        """

        def plan_head(config, tensors):
            new_layers = ("logits",) if new_head else ()
            return HeadPlan(replace(config, labels=()), 1, new_layers=new_layers)

        return cls._load(checkpoint, revision, max_length, precision, plan_head)

    def call(self, inputs, training=None):
        """Compute the logits (batch, choices)."""
        rows, choices, length = ops.shape(inputs["input_ids"])
        flat = {
            name: ops.reshape(value, (-1, length)) for name, value in inputs.items()
        }
        mask = flat.get("attention_mask")
        if mask is None:
            logits = super().call(flat, training=training)
            return ops.reshape(logits, (rows, choices))
        absent = ops.logical_not(ops.any(ops.cast(mask, "bool"), axis=-1))
        # One token, for the mean of none is no number.
        first = ops.cast(ops.arange(length) == 0, mask.dtype)
        filled = ops.cast(absent, mask.dtype)[:, None] * first
        flat["attention_mask"] = ops.maximum(mask, filled)
        logits = super().call(flat, training=training)
        logits = ops.where(absent, HIDDEN, logits[:, 0])
        return ops.reshape(logits, (rows, choices))

    def default_loss(self):
        """Cross-entropy over the choices of each row."""
        return losses.CrossEntropy()

    def default_metrics(self):
        """Share of rows whose best choice is the right one."""
        return [metrics.Accuracy()]

    # --- rows

    def fed(self, rows):
        """Of each row all of its choices, and the number of the right one."""
        labels = self.label_array(rows)  # Before the long work.
        return Fed(choice_examples(rows, self.tokenizer).examples, labels)

    def label_array(self, rows):
        """Number of the right choice, int32 (rows,); None without labels.

        Raises:
            DataError: rows of another kind.
        """
        _raise_unless_choices(rows)
        if not rows.has_labels:
            return None
        return np.array(rows.column("label"), "int32")

    def predict_rows(self, rows, batch_size=32):
        """Logits of rows, in their order: of each float32 (choices,)."""
        _raise_unless_choices(rows)
        found = choice_examples(rows, self.tokenizer)
        logits = [None] * len(rows)
        for chosen, outputs in self.outputs(found.examples, batch_size):
            for i, output in zip(chosen, outputs, strict=True):
                logits[i] = output[: found.counts[i]]
        return logits

    def answer_rows(self, rows, batch_size=32):
        """Choices for rows, as `predict_text` gives them."""
        told = self.described(self.predict_rows(rows, batch_size))
        return [
            {"choice": choices[one["index"]], **one}
            for one, choices in zip(told, rows.column("choices"), strict=True)
        ]

    def predict_text(self, texts: Sequence[Mapping], batch_size=32):
        """The best choice for each text.

        Args:
            texts: list of {"context": str, "choices": [str, ...]}, with "question": str
                where there is one.
            batch_size: texts worked on at once.

        Returns:
            For each a dict: `choice`, its `index` and `score` (its probability), and
            `scores` of all choices.

        Raises:
            DataError: a context or the choices are missing, or are no texts.
        """
        if isinstance(texts, str | Mapping):
            raise SettingsError(
                'predict_text takes a list: [{"context": ..., "choices": [...]}].'
            )
        if not len(texts):
            return []
        return self.answer_rows(choices_of(texts), batch_size)

    def described(self, logits):
        """`index`, `score` and `scores` of each row of logits."""
        told = []
        for row in logits:
            parts = np.exp(row - row.max())
            chances = parts / parts.sum()
            best = int(chances.argmax())
            scores = chances.tolist()
            told.append({"index": best, "score": scores[best], "scores": scores})
        return told

    def export(self, folder, rows=None, *, signature="text"):
        """Write a SavedModel that takes strings and loads without kerasft.

        `serving_default(context, question, choices)` takes any number of choices, of
        all rows alike, and gives `choice`, `index`, `score` and `scores`. A question ""
        is none; a choice "" is not there, and its score is 0. It is verified as
        `TextClassifier.export` says.

        Args:
            folder: where to; an earlier export there is replaced.
            rows: your own rows, to verify on (the first thousand).
            signature: "text", or "tokens" for token ids (batch, choices, length) alone.

        Raises:
            VerificationError: it does not give what the model gives.
            UnsupportedTokenizerError: this kind of tokenizer has no exact graph.
        """
        export_multiple_choice(self, folder, rows, signature)

    def saved_config(self):
        """The backbone's config; choices have no names."""
        return self.backbone.config


def _raise_unless_choices(rows):
    if not isinstance(rows, ChoiceRows):
        raise DataError(
            f"{rows!r}: this task takes choices. Read them with read_choices_jsonl, or "
            "make them by from_choices."
        )
