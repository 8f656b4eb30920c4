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

from kerasft._errors import SettingsError
from kerasft.serving.characters import replacements
from kerasft.serving.marks import MarkOrder, mark_ranks
from kerasft.serving.packing import pack
from kerasft.serving.reference import read_reference
from kerasft.serving.spelling import (
    CONTINUES,
    UNKNOWN,
    UNKNOWN_PIECE,
    choose_letters,
    spell_lines,
    spell_pieces,
)

PLAIN_TEXT = r"[\t\n\r -~]*"
WORD_LETTER = r"[^\t\n\r !-/:-@\[-`{-~]"


class WordPieceGraph(tf.Module):
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
        super().__init__(name="word_piece_graph")
        self.reference = read_reference(tokenizer)
        special = sum(len(piece.ids) for piece in self.reference.pair)
        if max_length <= special:
            raise SettingsError(
                f"max_length is {max_length}, but a pair of texts alone needs "
                f"{special} special tokens. Give at least {special + 1}."
            )
        self.max_length = max_length
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

    def __call__(self, text, text_pair=None):
        """Tokenise a batch.

        Args:
            text: (batch,) strings.
            text_pair: (batch,) strings, the second texts, or None.

        Returns:
            dict of `input_ids`, `attention_mask`, `token_type_ids`, each int32
            (batch, longest row).
        """
        # The strings are there anyway; only the ids need to travel to another device.
        with tf.device("CPU"):
            texts = {"A": self.token_ids(text)}
            if text_pair is not None:
                texts["B"] = self.token_ids(text_pair)
            return self.packed(texts)

    def token_ids(self, text):
        """Tokens of texts, whole and without special ones.

        Args:
            text: (batch,) strings.

        Returns:
            int32, ragged (batch, tokens).
        """
        too_long = f"{WORD_LETTER}{{{self.reference.longest_word + 1},}}"
        words = tf.strings.regex_replace(self._spell(text), too_long, UNKNOWN)
        pieces = self._word_piece.tokenize(words)
        return pieces.with_values(tf.gather(self._id_of_piece, pieces.values))

    def packed(self, texts):
        """What a model takes: texts cut to length, special tokens around them.

        Args:
            texts: {"A": ids} or {"A": ids, "B": ids}, ragged int32 (batch, tokens).

        Returns:
            As `__call__`.
        """
        reference = self.reference
        template = reference.pair if "B" in texts else reference.single
        return pack(
            template, texts, self.max_length, reference.pad_id, reference.pad_type_id
        )

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
