"""Keys and values of the tokens before, so that a new token is all there is to do.

A decoder's attention writes what it makes of new tokens into the cache and looks at all
of it. Sizes are fixed: a place that no token has is hidden by the mask. The cache
objects live while one call is traced; the tensors within go from call to call.

Source: Pope et al. 2022 (arXiv:2211.05102), section 3.3.
"""

from keras import ops


class LayerCache:
    """Keys and values of one attention layer.

    Args:
        keys, values: (batch, heads, capacity, size); keys and values of no tokens yet
            are of any number.
        first: the place of the next token, an integer, which may be a tensor.
    """

    def __init__(self, keys, values, first):
        self.keys = keys
        self.values = values
        self.first = first

    def extended(self, keys, values):
        """Write those of new tokens, (batch, heads, tokens, size); give all."""
        self.keys = _written(self.keys, keys, self.first)
        self.values = _written(self.values, values, self.first)
        return self.keys, self.values


def _written(kept, new, first):
    batch, heads, count, _ = ops.shape(new)
    rows, columns, places = ops.meshgrid(
        ops.arange(batch), ops.arange(heads), first + ops.arange(count), indexing="ij"
    )
    indices = ops.stack([rows, columns, places], axis=-1)
    return ops.scatter_update(kept, indices, ops.cast(new, kept.dtype))
