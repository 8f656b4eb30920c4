"""A TensorFlow graph that tokenises exactly like a Rust BPE over pieces, not bytes.

For tokenizers of the kind of Llama 2, Mistral and Gemma: spaces become marks, a
character that is no piece becomes its bytes, and neighbours are merged over the whole
text. Strings go in, `input_ids`, `attention_mask` and `token_type_ids` come out, the
same ids as `tokenizers` gives with `encode_special_tokens = True`.

Where no piece goes over the beginning of a mark, texts are cut there and each word of a
batch is worked on once.

Source: BPE, Prepend, Replace and Metaspace of huggingface/tokenizers 0.23; Sennrich et
al. 2016 (arXiv:1508.07909); Kudo & Richardson 2018 (arXiv:1808.06226).
"""

import numpy as np
import tensorflow as tf
import tokenizers

from kerasft.serving.characters import CODE_POINTS
from kerasft.serving.lookup import known_or_made, lookup
from kerasft.serving.merges import PairMerges
from kerasft.serving.piece_reference import MARK, read_piece_reference
from kerasft.serving.rewriting import spread, utf8_sizes
from kerasft.serving.token_graph import TokenGraph

BORDER = b"\xff"  # In no UTF-8.
FIRST_BYTES = (0x00, 0xC0, 0xE0, 0xF0)  # of a character of one to four


class PieceBPEGraph(TokenGraph):
    """Tokenise strings, or pairs of strings, inside a TensorFlow graph.

    Args:
        tokenizer: a `tokenizers.Tokenizer`, or the text of a tokenizer.json. Its own
            truncation is ignored, its padding gives the padding ids.
        max_length: tokens per row at most, special ones included.

    Raises:
        UnsupportedTokenizerError: it cannot be reproduced exactly; says what and why.
        SettingsError: `max_length` leaves no room for text.
    """

    def __init__(self, tokenizer: str | tokenizers.Tokenizer, max_length: int):
        reference = read_piece_reference(tokenizer)
        super().__init__(reference, max_length)
        of_point = np.full(CODE_POINTS, -1, np.int32)
        for piece, number in reference.vocabulary.items():
            if len(piece) == 1:
                of_point[ord(piece)] = number
        words = {w: i for w, i in reference.whole_words.items() if w}
        with tf.device("CPU"):
            self._id_of_point = tf.constant(of_point)
            self._id_of_byte = tf.constant(reference.id_of_byte, tf.int32)
            size = max(reference.vocabulary.values()) + 1
            self._merges = PairMerges(reference.merges, size)
            self._id_of_word = lookup([*words], [*words.values()], -1, tf.string)

    def token_ids(self, text):
        """See `TokenGraph.token_ids`."""
        words = self._words(self._marked(text))
        each, place = tf.unique(words.flat_values)
        tokens = known_or_made(self._id_of_word, each, self._merged)
        return words.with_values(tf.gather(tokens, place)).merge_dims(1, 2)

    def _marked(self, text):
        """Texts with marks for spaces, and one before them where that is done."""
        text = tf.strings.unicode_transcode(text, "UTF-8", "UTF-8", "replace")
        marked = tf.strings.regex_replace(text, " ", MARK)
        if self.reference.prepends == "never":
            return marked
        bare = marked == ""
        if self.reference.prepends == "once":
            bare |= tf.strings.regex_full_match(marked, f"(?s){MARK}.*")
        return tf.where(bare, marked, MARK + marked)

    def _words(self, text):
        """Parts of texts that nothing is merged over, ragged strings (texts, words)."""
        if self.reference.splits:
            text = tf.strings.regex_replace(
                text, f"([^{MARK}]){MARK}", rb"\1" + BORDER + MARK.encode()
            )
        return tf.strings.split(text, BORDER)

    def _merged(self, words):
        """Token ids of words, ragged (words, tokens)."""
        points = tf.strings.unicode_decode(words, "UTF-8")
        return self._merges.merged(*self._letters(points), points.nrows(tf.int32))

    def _letters(self, points):
        """Tokens of characters, and the number of each one's word."""
        flat = points.flat_values
        known = tf.gather(self._id_of_point, flat)
        size = utf8_sizes(flat)
        source, within = spread(tf.where(known >= 0, 1, size))
        flat, known, size = (tf.gather(one, source) for one in (flat, known, size))
        bits = tf.bitwise.right_shift(flat, 6 * tf.maximum(size - 1 - within, 0))
        first = tf.gather(FIRST_BYTES, size - 1) | bits
        byte = tf.where(within == 0, first, 0x80 | (bits & 0x3F)) & 0xFF
        tokens = tf.where(known >= 0, known, tf.gather(self._id_of_byte, byte))
        rows = tf.cast(tf.gather(points.value_rowids(), source), tf.int32)
        return tokens, rows
