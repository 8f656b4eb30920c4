"""The normal form NFC as the reference has it, in a TensorFlow graph.

TensorFlow Text composes characters by the version of Unicode it was built with, which
is younger than the reference's: marks that the reference has never heard of would be
sorted, and letters composed. All that such characters are to the reference is a
character that nothing passes and that joins nothing, so texts are cut around them.

Which they are is found by asking both, for each code point.

Source: NFC of huggingface/tokenizers 0.23; Unicode Standard Annex 15.
"""

import functools

import numpy as np
import tensorflow as tf
import tensorflow_text as tf_text
from tokenizers.normalizers import NFD

from kerasft.serving.characters import CODE_POINTS, SURROGATES, ask_each
from kerasft.serving.marks import HIGH_MARK, LOW_MARK
from kerasft.serving.reference import UnsupportedTokenizerError

PLAIN_TEXT = r"[\x00-\x7F]*"


class Composer(tf.Module):
    """NFC of texts.

    Raises:
        UnsupportedTokenizerError: the two versions of Unicode are too far apart.
    """

    def __init__(self):
        super().__init__(name="composer")
        is_inert = np.zeros(CODE_POINTS, bool)
        is_inert[list(map(ord, inert()))] = True
        self._is_inert = tf.constant(is_inert)

    def __call__(self, text):
        """Compose.

        Args:
            text: (batch,) strings.

        Returns:
            Alike; texts of more than ASCII with U+FFFD for what is no UTF-8.
        """
        others = tf.where(~tf.strings.regex_full_match(text, PLAIN_TEXT))
        points = tf.strings.unicode_decode(tf.gather_nd(text, others), "UTF-8")
        rows, is_inert = points.value_rowids(), tf.gather(self._is_inert, points.values)
        begins = (rows[1:] != rows[:-1]) | is_inert[1:] | is_inert[:-1]
        begins = tf.concat([[True], begins], 0)[: tf.size(rows)]
        starts = tf.where(begins)[:, 0]
        parts = tf.RaggedTensor.from_row_starts(points.values, starts, validate=False)
        parts = tf.strings.unicode_encode(parts, "UTF-8")
        composed = tf_text.normalize_utf8(parts, "NFC")
        parts = tf.where(tf.gather(is_inert, starts), parts, composed)
        parts = tf.RaggedTensor.from_value_rowids(
            parts, tf.gather(rows, starts), points.nrows(), validate=False
        )
        return tf.tensor_scatter_nd_update(
            text, others, tf.strings.reduce_join(parts, axis=1)
        )


@functools.cache
def inert() -> tuple[str, ...]:
    """Characters that only TensorFlow Text moves or joins. Takes a few seconds.

    Raises:
        UnsupportedTokenizerError: there are some that only the reference does.
    """
    points = [*range(SURROGATES.start), *range(SURROGATES.stop, CODE_POINTS)]
    found = set()
    for before, after in ((HIGH_MARK, LOW_MARK), ("", "")):
        wanted = ask_each(NFD(), before, after)
        asked = tf.constant([before + chr(point) + after for point in points])
        told = tf_text.normalize_utf8(asked, "NFD").numpy().tolist()
        for point, text in zip(points, map(bytes.decode, told), strict=True):
            if text != wanted[point]:
                # Of what is taken apart, the first part must not be joined either.
                found |= {chr(point)} if before else {chr(point), text[0]}
    both = [c for c in sorted(found) if not _is_inert(c)]
    if both:
        raise UnsupportedTokenizerError(
            f"The serving graph cannot compose texts (NFC) as the tokenizer does: "
            f"{both[:5]} are of a younger version of Unicode. Export with "
            "signature='tokens'."
        )
    return tuple(sorted(found))


def _is_inert(character):
    """Whether nothing passes a character in the reference, which leaves it as it is."""
    text = HIGH_MARK + character + LOW_MARK
    return NFD().normalize_str(text) == text
