"""Work on tokens alone: what each token does by itself need not be done for padding.

A batch of texts of unlike length is mostly padding. Its tokens, put one behind the
other, go through projections, MLPs and norms; attention alone needs rows. The trap: the
number of tokens is a shape of its own for every batch, so this is nothing for XLA, and
the gradient of the way back is slow: it is for serving.
"""

from keras import ops

from kerasft.layers.switch import Switch

# Within `packed_tokens()` backbones are traced without padding.
packed_tokens = Switch("packed_tokens")


class Packing:
    """Where the tokens of a batch stand, in rows and behind one another.

    Args:
        attention_mask: (batch, length), 1 = token, 0 = padding.
    """

    def __init__(self, attention_mask):
        shape = ops.shape(attention_mask)
        real = ops.cast(ops.reshape(attention_mask, (-1,)), "bool")
        (self._places,) = ops.nonzero(real)
        number = ops.cumsum(ops.cast(real, "int32")) - 1
        # Padding has the number of the token before it; nobody looks at it.
        self._numbers = ops.reshape(ops.maximum(number, 0), shape)

    def packed(self, rows):
        """(batch, length, width) to (1, tokens, width)."""
        flat = ops.reshape(rows, (-1, rows.shape[-1]))
        return ops.take(flat, self._places, axis=0)[None]

    def rows(self, tokens, count=None):
        """(1, tokens, width) to (batch, length, width), or those of `count` readers."""
        return ops.take(tokens[0], of_readers(self._numbers, count, 1), axis=0)


class Unpacked:
    """The same where nothing is packed: rows stay rows."""

    def packed(self, rows):
        """As it is."""
        return rows

    def rows(self, tokens, count=None):
        """Those of `count` readers; None: as it is."""
        return of_readers(tokens, count, 1)


UNPACKED = Unpacked()


def of_readers(array, readers, axis):
    """The first `readers` places of an axis; negative: the last so many; None: all.

    A slice that takes everything is not free: its gradient is a copy.
    """
    if readers is None:
        return array
    places = slice(readers) if readers > 0 else slice(readers, None)
    return array[(*[slice(None)] * axis, places)]


def packing_of(attention_mask):
    """`Packing` within `packed_tokens()` if there is a mask, else `UNPACKED`."""
    if attention_mask is None or not packed_tokens.on:
        return UNPACKED
    return Packing(attention_mask)
