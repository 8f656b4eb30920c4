"""What tasks of pretraining share that hide tokens, for a model to guess."""

from dataclasses import replace

from kerasft.data.masking import Masking
from kerasft.tasks.plain_text_task import PlainTextTask


class MaskedTask(PlainTextTask):
    """A task that hides tokens.

    Args:
        backbone: hidden states of token ids; its token embedding is the decoder's
            matrix, too.
        head: logits of hidden states.
        tokenizer: the checkpoint's.
        mask_share: share of the tokens that are hidden; at least one an example.
        mask_random_keep: shares of these that become the mask, any token, or stay.
        whole_words: whether all tokens of a word are hidden together.

    Raises:
        CheckpointError: the tokenizer has no mask.
        SettingsError: shares that cannot be.
    """

    def __init__(
        self,
        backbone,
        head,
        tokenizer,
        *,
        mask_share: float = 0.15,
        mask_random_keep: tuple[float, float, float] = (0.8, 0.1, 0.1),
        whole_words: bool = False,
        **kwargs,
    ):
        super().__init__(backbone, head, tokenizer, **kwargs)
        self.masking = Masking(tokenizer, mask_share, mask_random_keep, whole_words)

    def saved_config(self):
        """The backbone's config; its tables are tied, whatever it said of that."""
        config = self.backbone.config
        extra = {k: v for k, v in config.extra.items() if k != "tie_word_embeddings"}
        return replace(config, extra=extra)
