"""From token ids back to text, in a TensorFlow graph: byte-level tokenizers.

What `tokenizers.Tokenizer.decode` gives: the bytes of all tokens in a row, read as
UTF-8, with U+FFFD for what is none. Ids that no token has are left out.

The trap: an added token is text, not bytes, unless all its characters happen to be
among those that stand for bytes.

Source: TokenizerImpl::decode and the decoder ByteLevel of huggingface/tokenizers 0.23.
"""

import json

import tensorflow as tf
import tokenizers

from kerasft.serving.byte_reference import letters_of_bytes
from kerasft.serving.reference import UnsupportedTokenizerError


class ByteText(tf.Module):
    """Texts of token ids.

    Args:
        tokenizer: the Rust tokenizer.
        skip_special: whether special tokens leave nothing.

    Raises:
        UnsupportedTokenizerError: its decoder is another than ByteLevel.
    """

    def __init__(self, tokenizer: tokenizers.Tokenizer, skip_special: bool = True):
        super().__init__(name="byte_text")
        decoder = json.loads(tokenizer.to_str())["decoder"] or {"type": "none"}
        if decoder["type"] != "ByteLevel":
            raise UnsupportedTokenizerError(
                f"Its decoder is {decoder['type']}, the graph does ByteLevel. Decode "
                "the token ids outside of it."
            )
        tokens = readable_tokens(tokenizer, skip_special)
        bytes_of = _reader()
        with tf.device("CPU"):
            self._bytes = tf.constant([*map(bytes_of, tokens), b""])
        self._size = len(tokens)

    def __call__(self, token_ids):
        """Texts of a batch.

        Args:
            token_ids: integers (batch, tokens), dense or ragged.

        Returns:
            (batch,) strings, UTF-8.
        """
        with tf.device("CPU"):
            known = (token_ids >= 0) & (token_ids < self._size)
            places = tf.where(known, token_ids, self._size)
            joined = tf.strings.reduce_join(tf.gather(self._bytes, places), axis=-1)
            return tf.strings.unicode_transcode(joined, "UTF-8", "UTF-8", "replace")


def readable_tokens(tokenizer: tokenizers.Tokenizer, skip_special: bool) -> list[str]:
    """Tokens by their ids; "" for one that leaves nothing, and where there is none."""
    added = tokenizer.get_added_tokens_decoder().values()
    left_out = {one.content for one in added if one.special and skip_special}
    size = 1 + max(tokenizer.get_vocab(with_added_tokens=True).values())
    tokens = [tokenizer.id_to_token(token_id) or "" for token_id in range(size)]
    return ["" if token in left_out else token for token in tokens]


def _reader():
    """A function of a token to its bytes."""
    byte_of_letter = {letter: byte for byte, letter in enumerate(letters_of_bytes())}

    def bytes_of(token):
        if byte_of_letter.keys() >= set(token):
            return bytes(map(byte_of_letter.get, token))
        return token.encode()

    return bytes_of
