"""Keys and values that stand before those of the tokens at hand.

`LayerCache` holds those of earlier tokens, so that a new token is all there is to do: a
decoder's attention writes what it makes of new tokens into the cache and looks at all
of it. Sizes are fixed: a place that no token has is hidden by the mask. `Prefix` holds
those of virtual tokens, which are the same in all rows. Both live while one call is
traced; a cache's tensors go from call to call.

Sources: Pope et al. 2022 (arXiv:2211.05102), section 3.3; Li and Liang 2021
(arXiv:2101.00190), section 4.2, for the prefix.
"""

import keras
from keras import ops


class LayerCache:
    """Keys and values of one attention layer.

    Args:
        keys, values: (batch, heads, capacity, size); keys and values of no tokens yet
            are of any number.
        first: the place of the next token, an integer, which may be a tensor.
        offset: places before that of the first token, which virtual tokens have.
        own: whether nobody else has these keys and values, so that they may be written
            where they are; zeros that were just made may be one tensor.
    """

    def __init__(self, keys, values, first, offset=0, own=False):
        self.keys = keys
        self.values = values
        self.first = first
        self.offset = offset
        self.own = own

    def extended(self, keys, values):
        """Write those of new tokens, (batch, heads, tokens, size); give all."""
        place = self.offset + self.first
        self.keys = _written(self.keys, keys, place, self.own)
        self.values = _written(self.values, values, place, self.own)
        return self.keys, self.values


class Prefix:
    """Keys and values of virtual tokens, of one attention layer.

    Args:
        keys, values: (1, heads, some, size).
    """

    def __init__(self, keys, values):
        self.keys = keys
        self.values = values

    def extended(self, keys, values):
        """Those, and behind them the tokens', (batch, heads, tokens, size)."""
        return behind(self.keys, keys, 2), behind(self.values, values, 2)


def behind(first, rest, axis):
    """What is the same in all rows, and behind it what is not.

    Args:
        first: of one row.
        rest: of all rows.
        axis: along which they stand behind one another.
    """
    rows = (ops.shape(rest)[0], *first.shape[1:])
    first = ops.broadcast_to(ops.cast(first, rest.dtype), rows)
    return ops.concatenate([first, rest], axis=axis)


def _written(kept, new, first, own):
    """`kept` (batch, heads, capacity, size) with new places from `first` on."""
    batch, heads, count, size = ops.shape(new)
    capacity = ops.shape(kept)[2]
    if isinstance(first, int) and first == 0:  # So nothing is kept yet.
        rest = ((0, 0), (0, 0), (0, capacity - count), (0, 0))
        return ops.pad(ops.cast(new, kept.dtype), rest)
    firsts = ops.arange(batch * heads, dtype="int32") * capacity + first
    rows = ops.reshape(firsts[:, None] + ops.arange(count, dtype="int32"), (-1,))
    flat = ops.reshape(kept, (-1, size))
    new = ops.reshape(ops.cast(new, kept.dtype), (-1, size))
    if own and keras.backend.backend() == "tensorflow":
        from kerasft.layers.rows_tensorflow import with_rows

        flat = with_rows(flat, rows, new)
    else:
        flat = ops.scatter_update(flat, rows[:, None], new)
    return ops.reshape(flat, ops.shape(kept))
