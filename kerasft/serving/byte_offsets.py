"""A byte-level BPE graph that also says where in the text each token is from.

As `offsets.OffsetGraph`: `pieces` gives what `tokenizers.Tokenizer.encode` gives as
`ids`, `offsets` and `word_ids`. A token of some bytes of a character is from that
character.

The trap is `trim_offsets`: a token's place loses the spaces at its ends, though not
the one that the tokenizer itself has put before the text.

Source: ByteLevel::pre_tokenize and process_offsets of huggingface/tokenizers 0.23.
"""

import tensorflow as tf
import tokenizers

from kerasft.serving.added_tokens import has_added_tokens
from kerasft.serving.byte_bpe import ByteBPEGraph
from kerasft.serving.byte_reference import letters_of_bytes
from kerasft.serving.offsets import LONGER_FROM, TextPieces
from kerasft.serving.reference import raise_if_unsupported


class ByteOffsetGraph(ByteBPEGraph):
    """A `ByteBPEGraph` that knows the characters of each token.

    Args and errors are those of `ByteBPEGraph`; a normaliser, bytes without tokens
    and added tokens are refused, too.
    """

    keeps_spaces = True

    def __init__(self, tokenizer: str | tokenizers.Tokenizer, max_length: int):
        super().__init__(tokenizer, max_length)
        reference, misfits = self.reference, []
        if reference.composes:
            misfits.append("normalizer is NFC: where composed letters are from is lost")
        if len(set(reference.id_of_byte)) < 256:
            misfits.append("it has no token for some bytes, so that places are lost")
        if has_added_tokens(reference.tokenizer):
            misfits.append("it has added tokens that are not special")
        raise_if_unsupported(misfits)
        entries = _entries(reference.tokenizer)
        space = letters_of_bytes()[ord(" ")]
        with tf.device("CPU"):
            self._width = tf.constant([len(entry) for entry in entries], tf.int32)
            self._spaces = [
                tf.constant([len(e) - len(strip(e, space)) for e in entries], tf.int32)
                for strip in (str.lstrip, str.rstrip)
            ]

    def pieces(self, texts) -> TextPieces:
        """Cut texts into tokens; none is left out, none added.

        Args:
            texts: (texts,) strings; bytes that are not UTF-8 count as U+FFFD.
        """
        with tf.device("CPU"):
            texts = tf.convert_to_tensor(texts, tf.string)
            prefixed = self.prefixed(texts)
            points, begins, tokens = self.cut(prefixed)
            ids = begins.with_values(tokens).merge_dims(1, 2)
            row = ids.value_rowids()
            starts, ends = self._characters(points, tokens.flat_values)
            shift = tf.cast(tf.gather(points.row_starts(), row), tf.int32)
            starts, ends = starts - shift, ends - shift
            # The space put before a text shares the place of the text's first one.
            added = tf.gather(tf.cast(prefixed != texts, tf.int32), row)
            starts, ends = tf.maximum(starts - added, 0), tf.maximum(ends - added, 1)
            number = tf.range(tf.size(row)) - tf.cast(
                tf.gather(ids.row_starts(), row), tf.int32
            )
            for keeps_first in self.reference.trims:
                first = (number == 0) | (starts == 0) if keeps_first else False
                starts, ends = self._trimmed(ids.flat_values, starts, ends, first)
            words = tokens.value_rowids() - tf.gather(begins.row_starts(), row)
            return TextPieces(
                ids,
                starts=ids.with_values(starts),
                ends=ids.with_values(ends),
                words=ids.with_values(tf.cast(words, tf.int32)),
            )

    def _characters(self, points, tokens):
        """The first character of each token, and the one after its last, of all."""
        widths = 1 + tf.add_n(
            [tf.cast(points.flat_values >= longer, tf.int32) for longer in LONGER_FROM]
        )
        character_of_byte = tf.repeat(tf.range(tf.size(widths)), widths)
        ends = tf.cumsum(tf.gather(self._width, tokens))
        starts = ends - tf.gather(self._width, tokens)
        return (
            tf.gather(character_of_byte, starts),
            tf.gather(character_of_byte, ends - 1) + 1,
        )

    def _trimmed(self, tokens, starts, ends, first):
        before, after = (tf.gather(spaces, tokens) for spaces in self._spaces)
        before = tf.where(first & (before == 1), 0, before)
        starts = tf.minimum(starts + before, ends)
        after = tf.where(ends >= after, after, 0)
        return starts, tf.maximum(ends - after, starts)


def _entries(tokenizer):
    """The entry of each token id; "" for none."""
    vocabulary = tokenizer.get_vocab(with_added_tokens=True)
    entries = [""] * (1 + max(vocabulary.values()))
    for entry, token_id in vocabulary.items():
        entries[token_id] = entry
    return entries
