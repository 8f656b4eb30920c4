"""A TensorFlow graph that tokenises exactly like a Rust Unigram tokenizer.

For SentencePiece's tokenizers of the kind of XLM-RoBERTa, ALBERT and DeBERTa-v3:
strings go in, `input_ids`, `attention_mask` and `token_type_ids` come out, the same ids
as `tokenizers` gives with `encode_special_tokens = True`. A SavedModel that holds it
needs `tensorflow` and `tensorflow_text` only.

TensorFlow Text has an op for SentencePiece's own models, but its ids are others: it
normalises otherwise, and of two ways to cut a word that are as likely takes another.
With a vocabulary of 4,000 it gave other ids for 53 of 23,703 real texts and for 786 of
4,000 adversarial ones.

Each word of a batch is worked on once.

Source: Unigram, Metaspace and WhitespaceSplit of huggingface/tokenizers 0.23.
"""

import tensorflow as tf
import tokenizers

from kerasft.serving.best_pieces import BestPieces
from kerasft.serving.normalizing import Normalizer, spaces
from kerasft.serving.token_graph import TokenGraph
from kerasft.serving.unigram_reference import MARK, read_unigram_reference

BORDER = b"\xff"  # In no UTF-8.


class UnigramGraph(TokenGraph):
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
        reference = read_unigram_reference(tokenizer)
        super().__init__(reference, max_length)
        with tf.device("CPU"):
            self._normalize = Normalizer(reference.normalizer)
            self._pieces = BestPieces(reference.vocabulary, reference.unknown_id)

    def token_ids(self, text):
        """See `TokenGraph.token_ids`."""
        words = self._words(self._normalize(text))
        each, place = tf.unique(words.flat_values)
        tokens = self._pieces(tf.strings.unicode_decode(each, "UTF-8"))
        return words.with_values(tf.gather(tokens, place)).merge_dims(1, 2)

    def _words(self, text):
        """Words, each with the mark before it, ragged strings (texts, words).

        Spaces and marks begin words; what begins one is replaced by a border first.
        """
        if self.reference.splits_at_spaces:
            text = tf.strings.regex_replace(text, f"[{spaces()}]+\\z", "")
            first = f"(?:\\A[{spaces()}]*|[{spaces()}]+){MARK}?"
            others = MARK
        else:
            first, others = f"\\A[ {MARK}]?", f"[ {MARK}]"
        borders = tf.strings.regex_replace(text, first, BORDER)
        borders = tf.strings.regex_replace(borders, others, BORDER)
        # Before a text's first border is nothing.
        parts = tf.strings.split(tf.where(text == "", "", borders), BORDER)[:, 1:]
        return parts.with_values(MARK + parts.flat_values)
