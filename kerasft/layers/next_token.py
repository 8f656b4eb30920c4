"""From hidden states to the logits of the token that comes next."""

import keras

from kerasft.layers.dense import Dense
from kerasft.layers.embedding import scores_of_rows


class NextTokenHead(keras.layers.Layer):
    """Logits over the vocabulary, by the token embedding's own table or another.

    Input: (batch, length, width) and the table (vocabulary, width).
    Output: (batch, length, vocabulary).

    Args:
        vocab_size: rows of the table.
        tied: whether the table is the token embedding's; else it has its own kernel.
        initializer: of that kernel; there is no bias.

    Source: Press & Wolf 2017 (arXiv:1608.05859), for the one table.
    """

    readers = None

    def __init__(self, vocab_size, tied, initializer="zeros", **kwargs):
        super().__init__(**kwargs)
        self.decoder = None
        if not tied:
            self.decoder = Dense(
                vocab_size,
                use_bias=False,
                kernel_initializer=initializer,
                name="decoder",
            )

    def build(self, shape):
        """Build for hidden states of `shape`."""
        if self.decoder:
            self.decoder.build(shape)

    def call(self, hidden_states, table):
        """Score each token of the vocabulary at each place."""
        if self.decoder:
            return self.decoder(hidden_states)
        return scores_of_rows(table, hidden_states)
