"""A tokenizer graph that also says where in the text each token is from.

Taggers and question answerers need spans of the text as the user wrote it. `pieces`
gives, inside a TensorFlow graph, what `tokenizers.Tokenizer.encode` gives as `ids`,
`offsets` and `word_ids` (with `add_special_tokens=False`, `encode_special_tokens =
True`); `windowed.py` makes the inputs of a model of them.

The trap: offsets count characters, as Python does after `decode(errors="replace")`,
and neither bytes nor what is left after normalising.

Source: PreTokenizedString::into_encoding of huggingface/tokenizers 0.23.
"""

from typing import NamedTuple

import tensorflow as tf
import tokenizers

from kerasft.serving.origins import Origins
from kerasft.serving.spelling import UNKNOWN, choose_letters
from kerasft.serving.wordpiece import WordPieceGraph

SPACE = ord(" ")
LONGER_FROM = (0x80, 0x800, 0x10000)  # Letters that take a byte more in UTF-8.


class TextPieces(NamedTuple):
    """The tokens of some texts, whole and without special tokens.

    Args:
        ids: int32, ragged (texts, tokens).
        starts: int32, alike; the first character of each token in its text.
        ends: int32, alike; the character after its last.
        words: int32, alike; the number of its word in the text.
    """

    ids: tf.RaggedTensor
    starts: tf.RaggedTensor
    ends: tf.RaggedTensor
    words: tf.RaggedTensor


class OffsetGraph(WordPieceGraph):
    """A `WordPieceGraph` that knows the characters of each token.

    Args and errors are those of `WordPieceGraph`.
    """

    keeps_spaces = False  # No token begins or ends with white space.

    def __init__(self, tokenizer: str | tokenizers.Tokenizer, max_length: int):
        super().__init__(tokenizer, max_length)
        reference = self.reference
        with tf.device("CPU"):
            self._origins = Origins(
                reference.normalizer, choose_letters(reference.vocabulary)
            )

    def pieces(self, texts) -> TextPieces:
        """Cut texts into tokens; none is left out, none added.

        Args:
            texts: (texts,) strings; bytes that are not UTF-8 count as U+FFFD.
        """
        with tf.device("CPU"):
            points = tf.strings.unicode_decode(texts, "UTF-8")
            letters, origins = self._origins(points)
            text = tf.gather(points.value_rowids(), origins)
            words = _words(letters, text)
            letters = self._without_long_words(letters, words)
            spelt = tf.RaggedTensor.from_value_rowids(letters, text, points.nrows())
            ids, first, last = self._tokens(spelt)
            row = ids.value_rowids()
            shift = tf.cast(tf.gather(points.row_starts(), row), tf.int32)
            words = tf.gather(words, first)  # Each word has a token.
            words -= tf.gather(tf.math.segment_min(words, row), row)
            return TextPieces(
                ids,
                starts=ids.with_values(tf.gather(origins, first) - shift),
                ends=ids.with_values(tf.gather(origins, last) + 1 - shift),
                words=ids.with_values(words),
            )

    def _without_long_words(self, letters, words):
        """Letters that are in no piece, in place of those of words too long."""
        is_letter = letters != SPACE
        lengths = tf.math.segment_sum(tf.cast(is_letter, tf.int32), words)
        too_long = tf.gather(lengths, words) > self.reference.longest_word
        return tf.where(too_long & is_letter, ord(UNKNOWN), letters)

    def _tokens(self, spelt):
        """Ragged token ids; flat, the first and the last letter of each."""
        strings = tf.strings.unicode_encode(spelt, "UTF-8")
        pieces, starts, ends = self._word_piece.tokenize_with_offsets(strings)
        letters = spelt.flat_values
        widths = 1 + tf.add_n(
            [tf.cast(letters >= longer, tf.int32) for longer in LONGER_FROM]
        )
        letter_of_byte = tf.repeat(tf.range(tf.size(letters)), widths)
        lengths = tf.cast(tf.strings.length(strings), tf.int64)
        shift = tf.gather(tf.cumsum(lengths, exclusive=True), pieces.value_rowids())
        return (
            pieces.with_values(tf.gather(self._id_of_piece, pieces.values)),
            tf.gather(letter_of_byte, shift + starts.values),
            tf.gather(letter_of_byte, shift + ends.values - 1),
        )


def _words(letters, text):
    """The number, over all texts, of each letter's word; a space has the one before."""
    after_space = tf.concat([[True], letters == SPACE], 0)[:-1]
    is_first = tf.concat([[True], text[1:] != text[:-1]], 0)[: tf.size(text)]
    begins = (letters != SPACE) & (after_space | is_first)
    return tf.cumsum(tf.cast(begins, tf.int32))
