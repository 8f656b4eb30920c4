"""Added tokens that are no special ones: cut out of a text before all else is done.

ModernBERT's tokenizer has such: rows of spaces, and names of what was left out of the
texts it learnt from. Of several that begin at one place the longest is taken.

The trap: special tokens in a text are text, and yet the reference finds them; one that
overlaps with another token would hide it.

Source: AddedVocabulary of huggingface/tokenizers 0.23.
"""

import re
from collections.abc import Iterator

import tensorflow as tf
import tokenizers

from kerasft.serving.lookup import lookup

BORDER = b"\xff"  # In no UTF-8.


class AddedTokens(tf.Module):
    """Cut texts at their added tokens.

    Args:
        tokenizer: has added tokens that are not special, and no `added_misfits`.
    """

    def __init__(self, tokenizer: tokenizers.Tokenizer):
        super().__init__(name="added_tokens")
        ids = {token.content.encode(): i for i, token in _plain(tokenizer).items()}
        self.normalized = any(token.normalized for token in _plain(tokenizer).values())
        longest_first = sorted(ids, key=lambda content: (-len(content), content))
        self._pattern = b"(" + b"|".join(map(_literal, longest_first)) + b")"
        self._id_of_token = lookup([*ids], [*ids.values()], -1, tf.string)

    def __call__(self, text):
        """Parts of texts.

        Args:
            text: (batch,) strings.

        Returns:
            Ragged strings (batch, parts), and of each part, flat int32, the id of the
            token it is; -1 for text.
        """
        text = tf.strings.unicode_transcode(text, "UTF-8", "UTF-8", "replace")
        marked = BORDER + rb"\1" + BORDER
        parts = tf.strings.split(
            tf.strings.regex_replace(text, self._pattern, marked), BORDER
        )
        number = tf.range(tf.size(parts.flat_values, tf.int64))
        number -= tf.gather(parts.row_starts(), parts.value_rowids())
        ids = self._id_of_token.lookup(parts.flat_values)
        return parts, tf.cast(tf.where(number % 2 == 1, ids, -1), tf.int32)


def has_added_tokens(tokenizer: tokenizers.Tokenizer) -> bool:
    """Whether a tokenizer has added tokens that are not special."""
    return bool(_plain(tokenizer))


def added_misfits(tokenizer: tokenizers.Tokenizer) -> Iterator[str]:
    """What about the added tokens cannot be done exactly."""
    plain = [token for token in _plain(tokenizer).values()]
    for name in ("lstrip", "rstrip", "single_word"):
        odd = [token.content for token in plain if getattr(token, name)]
        if odd:
            yield f"{len(odd)} added tokens are looked for by {name}: {odd[:5]}"
    if len({token.normalized for token in plain}) > 1:
        yield "some added tokens are looked for before normalising, some after it"
    if any(token.normalized and not token.content.isascii() for token in plain):
        yield "added tokens of more than ASCII are looked for after normalising"
    special = [
        token.content
        for token in tokenizer.get_added_tokens_decoder().values()
        if token.special
    ]
    for token in plain:
        both = [other for other in special if overlap(token.content, other)]
        if both:
            yield f"the added token {token.content!r} may overlap with {both[:5]}"


def overlap(one: str, other: str) -> bool:
    """Whether two strings can have a character of a text in common."""
    if one in other or other in one:
        return True
    ends = range(1, min(len(one), len(other)))
    return any(one[-n:] == other[:n] or other[-n:] == one[:n] for n in ends)


def _plain(tokenizer):
    added = tokenizer.get_added_tokens_decoder()
    return {i: token for i, token in added.items() if not token.special}


def _literal(content):
    """A string for RE2; bytes that are no letters are written as such."""
    return re.escape(content.decode()).encode()
