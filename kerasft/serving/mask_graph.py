"""A tokenizer graph for texts with gaps: a mask in a text is a token, not text.

All else that looks special stays text, as `kerasft.data.tokenizer.reading_masks` has
it. The reference cuts the mask out of the text as it is written, before anything else
is done, and works on the parts one by one; so does the graph.

Source: AddedVocabulary::extract_and_normalize of huggingface/tokenizers 0.23.
"""

import tensorflow as tf

from kerasft.data.tokenizer import Tokenizer
from kerasft.serving.added_tokens import overlap
from kerasft.serving.reference import UnsupportedTokenizerError
from kerasft.serving.split_regex import spaces
from kerasft.serving.token_graph import TokenGraph
from kerasft.serving.tokenizer_graphs import token_graph


class MaskGraph(TokenGraph):
    """A tokenizer graph whose texts may hold the tokenizer's mask.

    Args:
        tokenizer: the checkpoint's.
        max_length: tokens per row at most, special ones included.

    Raises:
        CheckpointError: the tokenizer has no mask.
        UnsupportedTokenizerError: it cannot be reproduced exactly; says what and why.
    """

    def __init__(self, tokenizer: Tokenizer, max_length: int):
        token = _plain_mask(tokenizer.backend, tokenizer.mask)
        graph = token_graph(tokenizer, max_length)
        super().__init__(graph.reference, max_length)
        self.mask, self.mask_id = tokenizer.mask, tokenizer.mask_id
        self.reading = _reading(tokenizer, graph.reference.tokenizer.padding)
        self._graph = graph
        self._before = f"{spaces()}+$" if token.lstrip else ""
        self._after = f"^{spaces()}+" if token.rstrip else ""

    def token_ids(self, text):
        """As `TokenGraph.token_ids`, with `mask_id` where a text has the mask."""
        parts = tf.strings.split(text, self.mask)
        ids = self._graph.token_ids(self._stripped(parts).flat_values)
        masks = tf.fill([ids.nrows(), 1], self.mask_id)
        # A mask behind each part, but not behind the last.
        return parts.with_values(tf.concat([ids, masks], 1)).merge_dims(1, 2)[:, :-1]

    def _stripped(self, parts):
        """Parts without the white space that a mask takes up."""
        rows, flat = parts.value_rowids(), parts.flat_values
        follows = rows[1:] == rows[:-1]
        for space, beside in (
            (self._before, tf.concat([follows, [False]], 0)),
            (self._after, tf.concat([[False], follows], 0)),
        ):
            if space:
                bare = tf.strings.regex_replace(flat, space, "")
                flat = tf.where(beside[: tf.size(flat)], bare, flat)
        return parts.with_values(flat)


def _reading(tokenizer, padding):
    """The Rust tokenizer that the graph stands for."""
    own = tokenizer.reading_masks().backend
    if padding and not own.padding:
        own.enable_padding(**padding)
    return own


def _plain_mask(backend, mask):
    """The added token of a mask; one that is more than a string is refused.

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
    both = [other for other in others if overlap(mask, other)]
    if both:
        misfits.append(f"may overlap with other special tokens: {both[:5]}")
    if misfits:
        raise UnsupportedTokenizerError(
            f"The mask {mask!r} cannot be put into the serving graph exactly: it "
            + "; it ".join(misfits)
            + ". Export with token ids as input instead (signature='tokens')."
        )
    return token
