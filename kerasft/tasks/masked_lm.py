"""Words that are hidden in a text, to be guessed: how encoders are pretrained.

Rows are plain texts, of any length; labels are not looked at. Logits are worked out
where a token is hidden, and nowhere else, if `masked_positions` says where that is.

Source: Devlin et al. 2018 (arXiv:1810.04805), section 3.1.
"""

from dataclasses import replace

import numpy as np
from keras import ops

from kerasft._errors import DataError, SettingsError
from kerasft.data.documents import documents_of, passages_of
from kerasft.data.filling import Gaps
from kerasft.data.masking import MaskedPassages, Masking
from kerasft.objectives import losses, metrics
from kerasft.tasks.feeding import Fed
from kerasft.tasks.loading import HeadPlan
from kerasft.tasks.task import Task


class MaskedLM(Task):
    """Logits (batch, length, vocabulary) of tokens.

    With `masked_positions` (batch, masked) among the inputs, only of the tokens there:
    (batch, masked, vocabulary).

    Args:
        backbone: hidden states of token ids; its token embedding is the decoder's
            matrix.
        head: logits of hidden states.
        tokenizer: the checkpoint's.
        masking: keyword arguments of `Masking`.
        pack: whether texts follow one another in an example.
    """

    head_name = "masked_lm"

    def __init__(self, backbone, head, tokenizer, masking=None, pack=False, **kwargs):
        super().__init__(backbone, head, tokenizer, **kwargs)
        self.masking = Masking(tokenizer, **masking or {})
        self.pack = pack

    @classmethod
    def from_pretrained(  # noqa: PLR0913 - each named by the user
        cls,
        checkpoint,
        *,
        mask_share: float = 0.15,
        mask_random_keep: tuple[float, float, float] = (0.8, 0.1, 0.1),
        whole_words: bool = False,
        pack: bool = False,
        max_length: int | None = None,
        precision: str = "float32",
        revision: str | None = None,
    ):
        """Load a checkpoint; its masked-language head is loaded if there is one.

        Args:
            checkpoint: a local folder or a name on the Hugging Face hub.
            mask_share: share of the tokens that are hidden; at least one an example.
            mask_random_keep: shares of these that become the mask, any token, or stay.
            whole_words: hide all tokens of a word together.
            pack: texts follow one another in an example, so that all are full; else
                each text is cut into examples of its own, alike in length.
            max_length: the most tokens of an example; None: as many as the model takes.
            precision: "float32", "mixed_bfloat16" or "mixed_float16".
            revision: branch, tag or commit on the hub.

        Raises:
            CheckpointError: no such checkpoint, or it does not fit; its decoder is
                another matrix than its embedding; its tokenizer has no mask.
            SettingsError: an unknown precision, or shares that cannot be.
        """
        masking = {
            "share": mask_share,
            "mask_random_keep": mask_random_keep,
            "whole_words": whole_words,
        }

        def plan_head(config, tensors):
            config = replace(config, labels=(), problem_type=None)
            arguments = {"masking": masking, "pack": pack}
            return HeadPlan(config, config.vocab_size, arguments)

        return cls._load(checkpoint, revision, max_length, precision, plan_head)

    def call(self, inputs, training=None):
        """Compute the logits."""
        hidden = self.backbone(inputs, training=training)
        positions = inputs.get("masked_positions")
        if positions is not None:
            hidden = states_at(hidden, positions)
        return self.head(hidden, self.backbone.token_table)

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

    def label_array(self, rows):
        """None: the labels are the tokens that are hidden."""

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

    def saved_config(self):
        """The backbone's config; its tables are tied, whatever it said of that."""
        config = self.backbone.config
        extra = {k: v for k, v in config.extra.items() if k != "tie_word_embeddings"}
        return replace(config, extra=extra)


def states_at(hidden_states, positions):
    """Hidden states of some tokens: (batch, some, width) of (batch, length, width).

    Args:
        hidden_states: of all tokens.
        positions: (batch, some) int32.
    """
    batch, length = ops.shape(hidden_states)[0], ops.shape(hidden_states)[1]
    flat = ops.reshape(hidden_states, (-1, hidden_states.shape[-1]))
    rows = ops.arange(batch, dtype=positions.dtype)[:, None]
    return ops.take(flat, rows * ops.cast(length, rows.dtype) + positions, axis=0)


def best_tokens(logits, top):
    """The `top` likeliest tokens of each mask: lists of (id, probability).

    Args:
        logits: (masks, vocabulary).
        top: how many.
    """
    if not 0 < top <= logits.shape[-1]:
        raise SettingsError(f"top is {top}; give 1 to {logits.shape[-1]}.")
    parts = np.exp(logits - logits.max(-1, keepdims=True))
    chances = parts / parts.sum(-1, keepdims=True)
    best = np.argsort(-chances, axis=-1, kind="stable")[:, :top]
    return [
        [(int(i), float(row[i])) for i in numbers]
        for numbers, row in zip(best, chances, strict=True)
    ]
