"""From token ids back to text, in a TensorFlow graph: pieces with bytes between them.

What `tokenizers.Tokenizer.decode` gives: marks become spaces, bytes in a row are read
as UTF-8. Ids that no token has are left out.

The trap: bytes in a row are good as a whole or not at all; if they are no UTF-8, each
of them becomes U+FFFD, those of whole characters among them, too.

Source: TokenizerImpl::decode and the decoders Replace, ByteFallback, Fuse and Strip of
huggingface/tokenizers 0.23.
"""

import json
import re

import tensorflow as tf
import tokenizers

from kerasft.serving.byte_text import readable_tokens
from kerasft.serving.reference import UnsupportedTokenizerError
from kerasft.serving.unigram_reference import MARK

BYTE = re.compile(r"<0x(\+[0-9a-fA-F]|[0-9a-fA-F]{2})>")
REPLACE = {"type": "Replace", "pattern": {"String": MARK}, "content": " "}
PARTS = [REPLACE, {"type": "ByteFallback"}, {"type": "Fuse"}]


class PieceText(tf.Module):
    """Texts of token ids.

    Args:
        tokenizer: the Rust tokenizer.
        skip_special: whether special tokens leave nothing.

    Raises:
        UnsupportedTokenizerError: its decoder is of another kind.
    """

    def __init__(self, tokenizer: tokenizers.Tokenizer, skip_special: bool = True):
        super().__init__(name="piece_text")
        decoder = json.loads(tokenizer.to_str())["decoder"] or {"type": "none"}
        self._stripped = _spaces_stripped(decoder)
        tokens = readable_tokens(tokenizer, skip_special)
        matches = [BYTE.fullmatch(token) for token in tokens]
        pieces = [
            bytes([int(match[1], 16)]) if match else token.replace(MARK, " ").encode()
            for token, match in zip(tokens, matches, strict=True)
        ]
        with tf.device("CPU"):
            self._pieces = tf.constant([*pieces, b""])
            self._is_byte = tf.constant([*map(bool, matches), False])
            self._is_left_out = tf.constant([not token for token in [*tokens, ""]])
        self._size = len(tokens)

    def __call__(self, token_ids):
        """Texts of a batch.

        Args:
            token_ids: integers (batch, tokens), dense or ragged.

        Returns:
            (batch,) strings, UTF-8.
        """
        with tf.device("CPU"):
            if not isinstance(token_ids, tf.RaggedTensor):
                token_ids = tf.RaggedTensor.from_tensor(token_ids)
            flat, rows = token_ids.flat_values, token_ids.value_rowids()
            known = (flat >= 0) & (flat < self._size)
            places = tf.where(known, flat, self._size)
            stays = ~tf.gather(self._is_left_out, places)
            places, rows = tf.boolean_mask(places, stays), tf.boolean_mask(rows, stays)
            texts = tf.RaggedTensor.from_value_rowids(
                self._read(places, rows), rows, token_ids.nrows(), validate=False
            )
            texts = tf.strings.reduce_join(texts, axis=1)
            return tf.strings.regex_replace(texts, rf"\A {{0,{self._stripped}}}", "")

    def _read(self, places, rows):
        """The text of each token; bytes stay bytes if those in a row are UTF-8."""
        pieces = tf.gather(self._pieces, places)
        is_byte = tf.gather(self._is_byte, places)
        goes_on = is_byte[1:] & is_byte[:-1] & (rows[1:] == rows[:-1])
        begins = tf.concat([[True], ~goes_on], 0)[: tf.size(rows)]
        run = tf.cumsum(tf.cast(begins, tf.int64)) - 1
        runs = tf.RaggedTensor.from_value_rowids(pieces, run, validate=False)
        joined = tf.strings.reduce_join(runs, axis=1)
        valid = tf.strings.unicode_transcode(joined, "UTF-8", "UTF-8", "replace")
        is_bad = is_byte & tf.gather(valid != joined, run)
        return tf.where(is_bad, "\ufffd", pieces)


def _spaces_stripped(decoder):
    """How many spaces are taken off the beginning of a text at most.

    Raises:
        UnsupportedTokenizerError: the decoder has other parts.
    """
    parts = decoder.get("decoders", [decoder])
    last = parts[3:]
    if parts[:3] == PARTS and not last:
        return 0
    if parts[:3] == PARTS and len(last) == 1:
        wanted = {"type": "Strip", "content": " ", "stop": 0}
        if not wanted.items() - last[0].items():
            return last[0]["start"]
    names = " and ".join(part["type"] for part in parts)
    raise UnsupportedTokenizerError(
        f"Its decoder is {names}, the graph does ByteLevel, and Replace of {MARK!r}, "
        "ByteFallback, Fuse and Strip. Decode the token ids outside of it."
    )
