"""A tokenizer graph for texts with gaps: a mask in a text is a token, not text.

All else that looks special stays text, as `kerasft.data.tokenizer.reading_masks` has
it. The reference cuts the mask out of the text as it is written, before anything else
is done, and works on the parts one by one; so does the graph.

Source: AddedVocabulary::extract_and_normalize of huggingface/tokenizers 0.23.
"""

import tensorflow as tf

from kerasft.data.tokenizer import Tokenizer
from kerasft.serving.reference import UnsupportedTokenizerError
from kerasft.serving.wordpiece import WordPieceGraph


class MaskGraph(WordPieceGraph):
    """A `WordPieceGraph` whose texts may hold the tokenizer's mask.

    Args:
        tokenizer: the checkpoint's.
        max_length: tokens per row at most, special ones included.

    Raises:
        CheckpointError: the tokenizer has no mask.
        UnsupportedTokenizerError: it cannot be reproduced exactly; says what and why.
    """

    def __init__(self, tokenizer: Tokenizer, max_length: int):
        _raise_unless_plain(tokenizer.backend, tokenizer.mask)
        super().__init__(tokenizer.backend, max_length)
        self.mask, self.mask_id = tokenizer.mask, tokenizer.mask_id

    def token_ids(self, text):
        """As of `WordPieceGraph`, with `mask_id` where a text has the mask."""
        parts = tf.strings.split(text, self.mask)
        ids = super().token_ids(parts.flat_values)
        masks = tf.fill([ids.nrows(), 1], self.mask_id)
        # A mask behind each part, but not behind the last.
        return parts.with_values(tf.concat([ids, masks], 1)).merge_dims(1, 2)[:, :-1]


def _raise_unless_plain(backend, mask):
    """Refuse a mask that is more than a string to look for.

    Raises:
        UnsupportedTokenizerError: says why.
    """
    added = backend.get_added_tokens_decoder().values()
    (token,) = (one for one in added if one.content == mask)
    misfits = []
    if token.normalized:
        misfits.append("is looked for after normalising (normalized)")
    if token.single_word:
        misfits.append("is found as a whole word alone (single_word)")
    others = [one.content for one in added if one.content != mask]
    both = [other for other in others if _overlap(mask, other)]
    if both:
        misfits.append(f"may overlap with other special tokens: {both[:5]}")
    if misfits:
        raise UnsupportedTokenizerError(
            f"The mask {mask!r} cannot be put into the serving graph exactly: it "
            + "; it ".join(misfits)
            + ". Export with token ids as input instead (signature='tokens')."
        )


def _overlap(one, other):
    """Whether two strings can have a character of a text in common."""
    if one in other or other in one:
        return True
    ends = range(1, min(len(one), len(other)))
    return any(one[-n:] == other[:n] or other[-n:] == one[:n] for n in ends)
