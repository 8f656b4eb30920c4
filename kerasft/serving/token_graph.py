"""What all tokenizer graphs have in common: from the tokens of texts to model inputs.

A graph gives the tokens of whole texts, `token_ids`; here they are cut to length, put
between special tokens and padded, as the reference does it.
"""

import tensorflow as tf

from kerasft._errors import SettingsError
from kerasft.serving.packing import pack


class TokenGraph(tf.Module):
    """Tokenise strings, or pairs of strings, inside a TensorFlow graph.

    Args:
        reference: has `single` and `pair`, the templates, `pad_id` and `pad_type_id`.
        max_length: tokens per row at most, special ones included.

    Raises:
        SettingsError: `max_length` leaves no room for text.
    """

    def __init__(self, reference, max_length: int):
        super().__init__(name="token_graph")
        self.reference = reference
        special = sum(len(piece.ids) for piece in self.reference.pair)
        if max_length <= special:
            raise SettingsError(
                f"max_length is {max_length}, but a pair of texts alone needs "
                f"{special} special tokens. Give at least {special + 1}."
            )
        self.max_length = max_length

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
        raise NotImplementedError

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
