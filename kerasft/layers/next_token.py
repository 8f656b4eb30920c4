"""From hidden states to the logits of the token that comes next."""

import keras
from keras import ops

from kerasft.layers.dense import Adaptable, Dense
from kerasft.layers.embedding import scores_of_rows
from kerasft.layers.tracking import open_tracker

BLOCK = 64  # Tokens of a kernel of a turned table.


class TiedDense(Dense):
    """A linear layer whose kernel is another layer's table, turned; without bias.

    So an adapter can stand there, though the layer has no weights. The trap: what a
    layer is called with may be a tensor of one trace, so the variable itself is shown
    to it (`see`) before an adapter comes.

    Args:
        units: rows of the table.
    """

    table = None

    def __init__(self, units, **kwargs):
        super().__init__(units, use_bias=False, **kwargs)

    def see(self, table):
        """Take the other layer's variable, (units, width), as it is from now on."""
        object.__setattr__(self, "table", table)  # Else Keras would count it twice.

    def build(self, shape):
        """Know the width of the inputs."""
        axes = {-1: shape[-1]}
        self.input_spec = keras.layers.InputSpec(min_ndim=2, axes=axes)
        self.bias = None
        self.built = True

    @property
    def kernel(self):
        """The table turned, (width, units)."""
        return ops.transpose(self.table)

    def call(self, inputs, training=None):
        """The adapter's answer, or else the layer's own; the product needs all axes."""
        return Adaptable.call(self, inputs, training)

    def plain(self, inputs):
        """Product with each row of the table."""
        return scores_of_rows(self.table, inputs)

    def save_own_variables(self, store):
        """Nothing: the table is another's."""

    def load_own_variables(self, store):
        """Nothing: the table is another's."""


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
        self.vocab_size = vocab_size
        if tied:
            self.decoder = TiedDense(vocab_size, name="decoder")
        else:
            self.decoder = self._with_kernel(initializer)

    def build(self, shape):
        """Build for hidden states of `shape`."""
        self.decoder.build(shape)

    def call(self, hidden_states, table):
        """Score each token of the vocabulary at each place."""
        if isinstance(self.decoder, TiedDense) and self.decoder.adapter is None:
            return scores_of_rows(table, hidden_states)
        return self.decoder(hidden_states)

    def turned(self, table):
        """The table as kernels of a linear layer, (kernels, width, `BLOCK`), or None.

        For many calls with few tokens: on two cores the product of 8 tokens with
        GPT-2's table takes 3.8 ms so, 4.8 with one kernel, and 10.7 with the table as
        it is. (Of 64 tokens 13.0 and 10.9.) None where the head is not the plain table.
        """
        if not isinstance(self.decoder, TiedDense) or self.decoder.adapter is not None:
            return None
        rest = ((0, -self.vocab_size % BLOCK), (0, 0))
        rows = ops.pad(ops.cast(table, self.compute_dtype), rest)
        blocks = ops.reshape(rows, (-1, BLOCK, rows.shape[-1]))
        return ops.transpose(blocks, (0, 2, 1))

    def by_turned(self, hidden_states, turned):
        """What `call` gives, by a table that was `turned`."""
        length, width = ops.shape(hidden_states)[1:]
        tokens = ops.reshape(hidden_states, (1, -1, width))
        scores = ops.transpose(ops.matmul(tokens, turned), (1, 0, 2))
        scores = ops.reshape(scores, (-1, length, turned.shape[0] * BLOCK))
        return scores[..., : self.vocab_size]

    def untie(self, kernel):
        """Give the logits a matrix of their own, (width, vocabulary).

        Returns:
            What `tie` takes to undo it.
        """
        tied, own = self.decoder, self._with_kernel("zeros")
        own.build((None, None, kernel.shape[0]))
        own.kernel.assign(kernel)
        self._take(own)
        return tied

    def tie(self, tied):
        """Read the logits off the embedding's table again."""
        self._take(tied)

    def _take(self, decoder):
        """Another decoder, in place of the one that Keras knows of."""
        with open_tracker(self):
            self._layers.remove(self.decoder)
            self.decoder = decoder

    def _with_kernel(self, initializer):
        return Dense(
            self.vocab_size,
            use_bias=False,
            kernel_initializer=initializer,
            dtype=self.dtype_policy,
            name="decoder",
        )
