"""Words that are hidden in a text, to be guessed: how encoders are pretrained.

Rows are plain texts, of any length; labels are not looked at. Logits are worked out
where a token is hidden, and nowhere else, if `masked_positions` says where that is.

Source: Devlin et al. 2018 (arXiv:1810.04805), section 3.1.
"""

import numpy as np

from kerasft._errors import DataError, SettingsError
from kerasft.data.documents import documents_of, passages_of
from kerasft.data.filling import Gaps
from kerasft.data.masking import MaskedPassages
from kerasft.objectives import losses, metrics
from kerasft.tasks.exporting import export_masked_lm
from kerasft.tasks.feeding import Fed
from kerasft.tasks.masked_task import MaskedTask


class MaskedLM(MaskedTask):
    """Logits (batch, length, vocabulary) of tokens.

    With `masked_positions` (batch, masked) among the inputs, only of the tokens there:
    (batch, masked, vocabulary).

    Args:
        backbone, head, tokenizer, **options: as of `MaskedTask`.
        pack: whether texts follow one another in an example, a separator between, so
            that all are full; else each text is cut into examples of its own, alike in
            length.
    """

    head_name = "masked_lm"

    def __init__(self, backbone, head, tokenizer, *, pack: bool = False, **options):
        super().__init__(backbone, head, tokenizer, **options)
        self.pack = pack

    def call(self, inputs, training=None):
        """Compute the logits."""
        hidden = self.backbone(inputs, training=training)
        positions = inputs.get("masked_positions")
        return self.head(hidden, self.backbone.token_table, positions=positions)

    def default_loss(self):
        """Cross-entropy of each hidden token."""
        return losses.CrossEntropy()

    def default_metrics(self):
        """Share of hidden tokens that are guessed, and perplexity."""
        return [metrics.Accuracy(), metrics.Perplexity()]

    # --- rows

    def fed(self, rows):
        """Passages of texts, tokens of which are hidden when a batch is made."""
        passages = passages_of(
            documents_of(rows, self.tokenizer), self.tokenizer, self.pack
        )
        make = MaskedPassages(passages, self.masking)
        return Fed(passages, None, rows=passages.rows, make=make)

    def predict_rows(self, rows, batch_size=32):
        """Logits at the masks in each row's text.

        Returns:
            Of each row float32 (masks, vocabulary).
        """
        found = self._at_masks(Gaps.of(rows.texts(), self.tokenizer), batch_size)
        return [logits for _, logits in sorted(found, key=lambda pair: pair[0])]

    def _at_masks(self, gaps, batch_size):
        """Yield text numbers with the logits (masks, vocabulary) of their gaps."""
        from kerasft.data.pipeline import padded

        def make(chosen, width, random):
            inputs = padded(gaps.examples, chosen, width, self.tokenizer.pad_id)
            return inputs | {"masked_positions": gaps.positions[chosen]}

        for chosen, logits in self.outputs(gaps.examples, batch_size, make):
            for i, row in zip(chosen, logits, strict=True):
                yield i, row[: gaps.counts[i]]

    def predict_text(self, texts, top=5, batch_size=32):
        """The likeliest tokens for the masks in texts.

        Args:
            texts: list of str, each with the tokenizer's mask (`task.tokenizer.mask`)
                where a token is missing, once or more often.
            top: how many tokens for each mask.
            batch_size: texts worked on at once.

        Returns:
            Of each text a list with, for each mask, a list of dicts, the likeliest
            first: `token`, `score` (its probability) and `text` (with the token in
            this mask's place, other masks as they are).

        Raises:
            DataError: a text without a mask, or longer than the model takes.
        """
        if isinstance(texts, str):
            raise SettingsError("predict_text takes a list of texts: [text].")
        if not len(texts):
            return []
        gaps = Gaps.of(texts, self.tokenizer)
        if not gaps.counts.all():
            i = int(np.argmin(gaps.counts))
            raise DataError(
                f"Text {i} has no mask: {texts[i][:60]!r}. Write {self.tokenizer.mask} "
                "where a token is to be guessed."
            )
        answers = [None] * len(texts)
        for i, logits in self._at_masks(gaps, batch_size):
            answers[i] = [
                [
                    {**self._named(*guess), "text": gaps.filled(i, gap, guess[0])}
                    for guess in row
                ]
                for gap, row in enumerate(best_tokens(logits, top))
            ]
        return answers

    def described(self, logits, top=5):
        """The likeliest tokens, with their scores: for each row, a list for each mask.

        Args:
            logits: of each row (masks, vocabulary).
            top: how many tokens.
        """
        return [
            [[self._named(*guess) for guess in row] for row in best_tokens(masks, top)]
            for masks in logits
        ]

    def _named(self, number, score):
        return {"token": self.tokenizer.text_of(number), "score": score}

    def export(self, folder, rows=None, *, top=5, signature="text"):
        """Write a SavedModel that takes texts with masks and loads without kerasft.

        `serving_default(text)` gives `token` and `score`, (texts, most masks, top), the
        likeliest first, and `masks`, (texts,), how many masks each text has; behind
        those of a text `token` is "" and `score` 0. `tokens` takes token ids and gives
        `logits`. It is verified as `TextClassifier.export` says.

        Args:
            folder: where to; an earlier export there is replaced.
            rows: your own rows, to verify on (the first thousand); masks are put into
                texts that have none.
            top: how many tokens are told of each mask.
            signature: "text", or "tokens" for token ids alone.

        Raises:
            SettingsError: `top` is more than there are tokens, or none.
            VerificationError: it does not give what the model gives.
            UnsupportedTokenizerError: this kind of tokenizer has no exact graph.
        """
        _raise_unless_among(top, self.backbone.config.vocab_size)
        export_masked_lm(self, folder, rows, top, signature)


def best_tokens(logits, top):
    """The `top` likeliest tokens of each mask: lists of (id, probability).

    Args:
        logits: (masks, vocabulary).
        top: how many.
    """
    _raise_unless_among(top, logits.shape[-1])
    parts = np.exp(logits - logits.max(-1, keepdims=True))
    chances = parts / parts.sum(-1, keepdims=True)
    best = np.argsort(-chances, axis=-1, kind="stable")[:, :top]
    return [
        [(int(i), float(row[i])) for i in numbers]
        for numbers, row in zip(best, chances, strict=True)
    ]


def _raise_unless_among(top, size):
    if not 0 < top <= size:
        raise SettingsError(f"top is {top}; give 1 to {size}.")
