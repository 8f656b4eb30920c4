"""A TensorFlow graph that tokenises exactly like a Rust WordPiece tokenizer.

Strings go in, `input_ids`, `attention_mask` and `token_type_ids` come out, the same
ids as `tokenizers` gives with `encode_special_tokens = True`. The tables are constants
of the graph: a SavedModel that holds it needs `tensorflow` and `tensorflow_text` only.

The traps: bytes that are not UTF-8 count as U+FFFD, as in Python's
`decode(errors="replace")`; and words are measured in characters after normalising.

Source: BertNormalizer, BertPreTokenizer, WordPiece of huggingface/tokenizers 0.23;
Song et al. 2021 (arXiv:2012.15524) for the algorithm inside FastWordpieceTokenizer.
"""

import tensorflow as tf
import tensorflow_text as tf_text
import tokenizers

from kerasft.serving.characters import replacements
from kerasft.serving.marks import MarkOrder, mark_ranks
from kerasft.serving.reference import read_reference
from kerasft.serving.spelling import (
    CONTINUES,
    UNKNOWN,
    UNKNOWN_PIECE,
    choose_letters,
    spell_lines,
    spell_pieces,
)
from kerasft.serving.token_graph import TokenGraph

PLAIN_TEXT = r"[\t\n\r -~]*"
WORD_LETTER = r"[^\t\n\r !-/:-@\[-`{-~]"


class WordPieceGraph(TokenGraph):
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
        super().__init__(read_reference(tokenizer), max_length)
        letters = choose_letters(self.reference.vocabulary)
        with tf.device("CPU"):
            self._make_character_table(letters)
            self._make_piece_table(letters)
            self._mark_order = self._make_mark_order(letters)

    def _make_character_table(self, letters):
        normalizer = self.reference.normalizer
        lines = replacements(
            normalizer.clean_text,
            normalizer.handle_chinese_chars,
            normalizer.strip_accents,
            normalizer.lowercase,
        )
        spelt = spell_lines(lines, letters)
        rows = {text: row for row, text in enumerate(sorted(set(spelt)))}
        self._spelling_of_point = tf.constant([rows[text] for text in spelt], tf.int32)
        self._spellings = tf.ragged.constant(
            [[ord(letter) for letter in text] for text in rows], tf.int32
        )

    def _make_piece_table(self, letters):
        pieces = spell_pieces(self.reference, letters)
        self._id_of_piece = tf.constant(list(pieces.values()), dtype=tf.int32)
        self._word_piece = tf_text.FastWordpieceTokenizer(
            list(pieces),
            suffix_indicator=CONTINUES,
            max_bytes_per_word=4 * self.reference.longest_word,
            unknown_token=UNKNOWN_PIECE,
            token_out_type=tf.int32,
        )

    def _make_mark_order(self, letters):
        normalizer = self.reference.normalizer
        ranks = mark_ranks(normalizer, letters)
        return MarkOrder(normalizer, ranks, letters) if ranks else None

    def token_ids(self, text):
        """See `TokenGraph.token_ids`."""
        too_long = f"{WORD_LETTER}{{{self.reference.longest_word + 1},}}"
        words = tf.strings.regex_replace(self._spell(text), too_long, UNKNOWN)
        pieces = self._word_piece.tokenize(words)
        return pieces.with_values(tf.gather(self._id_of_piece, pieces.values))

    def _spell(self, text):
        """Normalise; texts of printable ASCII, the most, take a short way."""
        plain = tf.strings.lower(text) if self.reference.normalizer.lowercase else text
        others = tf.where(~tf.strings.regex_full_match(text, PLAIN_TEXT))
        points = tf.strings.unicode_decode(tf.gather_nd(text, others), "UTF-8")
        spellings = tf.gather(
            self._spellings, tf.gather(self._spelling_of_point, points.flat_values)
        )
        spelt = points.with_values(spellings).merge_dims(1, 2)
        if self._mark_order:
            spelt = spelt.with_values(self._mark_order(points, spellings))
        return tf.tensor_scatter_nd_update(
            plain, others, tf.strings.unicode_encode(spelt, "UTF-8")
        )
