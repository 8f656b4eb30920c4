"""From hidden states of tokens to logits of every token: of labels, or of a vocabulary.

Sources: Devlin et al. 2018 (arXiv:1810.04805), sections 3.1 and 4.2; the families
differ in what comes before the last layer.
"""

import keras
from keras import ops

from kerasft.layers.activation import ACTIVATIONS
from kerasft.layers.dense import Dense
from kerasft.layers.dropout import Dropout
from kerasft.layers.embedding import scores_of_rows


class TokenTransform(keras.layers.Layer):
    """Dense, activation, norm, of each token alone.

    Input: (batch, length, width). Output: (batch, length, units).

    Args:
        units: width of the output.
        activation: a name of `ACTIVATIONS`.
        norm: name -> a layer norm; None: no norm.
        initializer: of the kernel.
        bias: whether the dense layer has one.
    """

    def __init__(self, units, activation, norm, initializer, bias=True, **kwargs):
        super().__init__(**kwargs)
        self.activation = ACTIVATIONS[activation]
        self.dense = Dense(
            units, use_bias=bias, kernel_initializer=initializer, name="dense"
        )
        self.norm = norm("norm") if norm else None

    def build(self, shape):
        """Build for hidden states of `shape`."""
        self.dense.build(shape)
        if self.norm:
            self.norm.build((*shape[:-1], self.dense.units))

    def call(self, hidden_states):
        """Transform."""
        hidden_states = self.activation(self.dense(hidden_states))
        return self.norm(hidden_states) if self.norm else hidden_states


class TokenHead(keras.layers.Layer):
    """Logits of every token.

    Input: (batch, length, width). Output: (batch, length, num_labels).
    Attribute `readers`: how many tokens, from the first, it looks at; None: all.

    Args:
        num_labels: logits per token.
        dropout: share dropped before the logits.
        initializer: of the logits' kernel.
        transform: a `TokenTransform` before the dropout, or None.
        crf: a `CRF` that stands beside the logits, which stay the same; or None.
    """

    readers = None

    def __init__(
        self, num_labels, dropout, initializer, transform=None, crf=None, **kwargs
    ):
        super().__init__(**kwargs)
        self.transform = transform
        self.crf = crf
        self.dropout = Dropout(dropout, name="dropout")
        self.logits = Dense(num_labels, kernel_initializer=initializer, name="logits")

    def build(self, shape):
        """Build for hidden states of `shape`."""
        if self.transform:
            self.transform.build(shape)
        self.logits.build(shape)
        if self.crf:
            self.crf.build()

    def call(self, hidden_states, training=None, attention_mask=None):
        """Score each token."""
        if self.transform:
            hidden_states = self.transform(hidden_states)
        return self.logits(self.dropout(hidden_states, training=training))


class VocabularyHead(keras.layers.Layer):
    """Logits of every token over the vocabulary, by the token embedding's own table.

    Input: (batch, length, width), the table (vocabulary, embedding width) and, or None,
    positions (batch, some): logits of no other tokens are worked out.
    Output: (batch, length, vocabulary), or (batch, some, vocabulary).

    Args:
        vocab_size: rows of the table.
        transform: the `TokenTransform` to the table's width.
        bias: whether each row has one.
    """

    readers = None

    def __init__(self, vocab_size, transform, bias=True, **kwargs):
        super().__init__(**kwargs)
        self.vocab_size = vocab_size
        self.transform = transform
        self.decoder = VocabularyBias(vocab_size, name="decoder") if bias else None

    def build(self, shape):
        """Build for hidden states of `shape`."""
        self.transform.build(shape)
        if self.decoder:
            self.decoder.build()

    def call(self, hidden_states, table, positions=None):
        """Score each token, or those at `positions`."""
        if positions is not None:
            hidden_states = states_at(hidden_states, positions)
        hidden_states = self.transform(hidden_states)
        logits = scores_of_rows(table, hidden_states)
        return self.decoder(logits) if self.decoder else logits


def states_at(hidden_states, positions):
    """Hidden states of some tokens: (batch, some, width) of (batch, length, width).

    Args:
        hidden_states: of all tokens.
        positions: (batch, some) int32.
    """
    batch, length, width = ops.shape(hidden_states)
    flat = ops.reshape(hidden_states, (-1, width))
    firsts = length * ops.arange(batch, dtype=positions.dtype)
    return ops.take(flat, firsts[:, None] + positions, axis=0)


class PretrainingHead(keras.layers.Layer):
    """Logits of hidden tokens, and of whether a second text belongs to the first.

    Input: as of `VocabularyHead`. Output: a dict of `masked` (batch, length or some,
    vocabulary) and `pair` (batch, 2): as it was, or not.

    Args:
        tokens: a `VocabularyHead`.
        pair: a `FirstTokenHead` of two logits.
        pairs: how a pair is made that does not belong: a key of `PAIRINGS` in
            `data/text_pairs.py`.
    """

    readers = None

    def __init__(self, tokens, pair, pairs, **kwargs):
        super().__init__(**kwargs)
        self.tokens = tokens
        self.pair = pair
        self.pairs = pairs

    def build(self, shape):
        """Build both heads for hidden states of `shape`."""
        self.tokens.build(shape)
        self.pair.build(shape)

    def call(self, hidden_states, table, positions=None, training=None):
        """Score tokens and texts."""
        return {
            "masked": self.tokens(hidden_states, table, positions),
            "pair": self.pair(hidden_states, training=training),
        }


class VocabularyBias(keras.layers.Layer):
    """One number for each row of the vocabulary, added to its logits."""

    def __init__(self, vocab_size, **kwargs):
        super().__init__(**kwargs)
        self.vocab_size = vocab_size

    def build(self, shape=None):
        """Make the weight, all 0."""
        self.bias = self.add_weight((self.vocab_size,), "zeros", name="bias")
        self.built = True

    def call(self, logits):
        """Add it."""
        return logits + self.bias
