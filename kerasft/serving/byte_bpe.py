"""A TensorFlow graph that tokenises exactly like a Rust byte-level BPE tokenizer.

For tokenizers of the kind of GPT-2, RoBERTa, ModernBERT, Llama 3 and Qwen 2: strings
go in, `input_ids`, `attention_mask` and `token_type_ids` come out, the same ids as
`tokenizers` gives with `encode_special_tokens = True`. A SavedModel that holds it needs
`tensorflow` and `tensorflow_text` only.

Each word of a batch is worked on once; most words are one token and are looked up.

The traps: bytes that are not UTF-8 count as U+FFFD, as in Python's
`decode(errors="replace")`; and an empty text gets no space before it.

Source: ByteLevel, Split and BPE of huggingface/tokenizers 0.23; Radford et al. 2019.
"""

import tensorflow as tf
import tokenizers

from kerasft.serving.added_tokens import AddedTokens, has_added_tokens
from kerasft.serving.byte_reference import read_byte_reference
from kerasft.serving.composing import Composer
from kerasft.serving.lookup import known_or_made, lookup
from kerasft.serving.merges import Merges
from kerasft.serving.split_graph import SplitGraph
from kerasft.serving.token_graph import TokenGraph


class ByteBPEGraph(TokenGraph):
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
        reference = read_byte_reference(tokenizer)
        super().__init__(reference, max_length)
        with tf.device("CPU"):
            self._compose = Composer() if reference.composes else tf.identity
            self._split = SplitGraph(reference.expression)
            self._merges = Merges(reference.id_of_byte, reference.merges)
            added = has_added_tokens(reference.tokenizer)
            self._added = AddedTokens(reference.tokenizer) if added else None
            words, ids = [*reference.words], [*reference.words.values()]
            self._id_of_word = lookup(words, ids, -1, tf.string)

    def token_ids(self, text):
        """See `TokenGraph.token_ids`."""
        if self._added is None:
            return self._ids_of(self._compose(text))
        if self._added.normalized:
            text = self._compose(text)
        parts, added = self._added(text)
        texts = tf.where(added < 0, parts.flat_values, "")
        ids = self._ids_of(texts if self._added.normalized else self._compose(texts))
        added = tf.ragged.boolean_mask(added[:, None], added[:, None] >= 0)
        return parts.with_values(tf.concat([ids, added], 1)).merge_dims(1, 2)

    def _ids_of(self, text):
        """As `token_ids`, of texts that are composed and hold no added tokens."""
        _, begins, tokens = self.cut(self.prefixed(text))
        return begins.with_values(tokens).merge_dims(1, 2)

    def prefixed(self, text):
        """Texts with the space that may have to be before each; not before none."""
        if not self.reference.prefix_space:
            return text
        first = tf.strings.substr(text, 0, 1)
        return tf.where((first == "") | (first == " "), text, " " + text)

    def cut(self, text):
        """Cut texts into words and those into tokens.

        Args:
            text: (batch,) strings.

        Returns:
            Code points, ragged (batch, code points); where each word begins, ragged
            (batch, words); token ids, ragged (all words, tokens).
        """
        points = tf.strings.unicode_decode(text, "UTF-8")
        begins = self._split(points)
        row_starts = tf.gather(points.row_starts(), begins.value_rowids())
        words = tf.RaggedTensor.from_row_starts(
            points.flat_values, row_starts + begins.flat_values, validate=False
        )
        words, place = tf.unique(tf.strings.unicode_encode(words, "UTF-8"))
        tokens = known_or_made(self._id_of_word, words, self._merges)
        return points, begins, tf.gather(tokens, place)
