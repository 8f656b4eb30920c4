"""Pretraining as BERT and ALBERT do it: hidden tokens, and pairs that belong together.

Two texts of a pair follow each other in a document, or do not: the second is of another
text (BERT), or their order is wrong (ALBERT). Rows are documents; pairs are made anew
each epoch.

Sources: Devlin et al. 2018 (arXiv:1810.04805), section 3.1; Lan et al. 2019
(arXiv:1909.11942), section 3.1.
"""

import keras
import numpy as np

from kerasft.data.documents import documents_of
from kerasft.data.encoding import encode_rows
from kerasft.data.text_pairs import PairedPassages
from kerasft.objectives import losses, metrics
from kerasft.tasks.feeding import Fed
from kerasft.tasks.masked_task import MaskedTask

# Of each kind of pair: how it is when it belongs together, and when it does not.
NAMES = {"next": ("next", "other"), "order": ("in order", "swapped")}


class Pretraining(MaskedTask):
    """A dict of logits: `masked` (batch, length, vocabulary) and `pair` (batch, 2).

    With `masked_positions` (batch, masked) among the inputs, `masked` is (batch,
    masked, vocabulary). Of `pair` the first is that the texts belong together.

    Args:
        backbone, head, tokenizer, **options: as of `MaskedTask`.
    """

    head_name = "pretraining"

    def call(self, inputs, training=None):
        """Compute the logits."""
        hidden = self.backbone(inputs, training=training)
        return self.head(
            hidden,
            self.backbone.token_table,
            positions=inputs.get("masked_positions"),
            training=training,
        )

    def default_loss(self):
        """Cross-entropy of hidden tokens, plus that of pairs."""
        parts = {"masked": losses.CrossEntropy(), "pair": losses.CrossEntropy()}
        return losses.LossSum(parts)

    def default_metrics(self):
        """Share of tokens and of pairs that are guessed, and perplexity."""
        return {
            "masked": [metrics.Accuracy(), metrics.Perplexity()],
            "pair": [metrics.Accuracy()],
        }

    # --- rows

    def fed(self, rows):
        """Pairs out of documents, made and hidden in part when a batch is made."""
        documents = documents_of(rows, self.tokenizer)
        make = PairedPassages.of(
            documents, self.tokenizer, self.masking, self.head.pairs
        )
        return Fed(make.passages, None, rows=make.passages.rows, make=make)

    def predict_rows(self, rows, batch_size=32):
        """Logits of each row's two texts: that they belong together, or do not.

        Returns:
            float32 (rows, 2).
        """
        from kerasft.data.pipeline import padded

        examples = encode_rows(rows, self.tokenizer)

        def make(chosen, width, random):
            inputs = padded(examples, chosen, width, self.tokenizer.pad_id)
            # Logits of one token: they are large, and not asked for.
            none = np.zeros((len(chosen), 1), "int32")
            return inputs | {"masked_positions": none}

        logits = np.empty((len(examples), 2), "float32")
        for chosen, outputs in self.outputs(examples, batch_size, make):
            logits[chosen] = outputs["pair"]
        return logits

    def described(self, logits):
        """For each pair `label` and `score`, its probability.

        The label is "next" or "other" (BERT), "in order" or "swapped" (ALBERT).
        """
        chances = keras.ops.convert_to_numpy(keras.ops.softmax(logits))
        names = NAMES[self.head.pairs]
        return [
            {"label": names[row.argmax()], "score": float(row.max())} for row in chances
        ]
