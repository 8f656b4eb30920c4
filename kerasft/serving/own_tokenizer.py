"""A graph's own copy of a tokenizer, and the padding that it gets if it has none."""

from collections.abc import Iterator

import tokenizers

PADS = ("[PAD]", "<pad>", "<|pad|>")


def own_copy(tokenizer: str | tokenizers.Tokenizer) -> tokenizers.Tokenizer:
    """A copy of a tokenizer, or of the text of a tokenizer.json."""
    return tokenizers.Tokenizer.from_str(
        tokenizer if isinstance(tokenizer, str) else tokenizer.to_str()
    )


def padding_misfits(own: tokenizers.Tokenizer) -> Iterator[str]:
    """Why `pad` cannot do its work."""
    if not own.padding and not any(own.token_to_id(pad) is not None for pad in PADS):
        yield f"it has no padding settings and none of {PADS}: call enable_padding()"


def pad(own: tokenizers.Tokenizer) -> None:
    """Let a tokenizer pad, by the first of `PADS` that it has, unless it does."""
    if not own.padding:
        token = next(one for one in PADS if own.token_to_id(one) is not None)
        own.enable_padding(pad_id=own.token_to_id(token), pad_token=token)
