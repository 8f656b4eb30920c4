"""Keys and values for few queries, without projecting every token.

`q · (x K)` is `(q Kᵀ) · x`, and a mean of `x V` is the mean of the `x`, times V. Where
one token of a row looks at all others, projecting it in place of them leaves out two
of the block's matrix products over the whole batch, and their gradients.
"""

from keras import ops

from kerasft.layers.dense import Dense


def foldable(*projections):
    """Whether these are plain `Dense` layers: nothing but a kernel and a bias."""
    return all(
        type(one) is Dense
        and one.adapter is None
        and one.quantization_mode is None
        and not one.lora_enabled
        for one in projections
    )


def folded_scores(queries, tokens, keys):
    """Scores of `queries` against what `keys` would make of `tokens`.

    Args:
        queries: (batch, heads, readers, size), scaled.
        tokens: (batch, length, width).
        keys: a `foldable` projection.

    Returns:
        (batch, heads, readers, length).
    """
    kernel, bias = _by_head(keys, queries.shape[1])
    looks = ops.einsum("bhrs,whs->bhrw", queries, kernel)
    scores = ops.einsum("bhrw,blw->bhrl", looks, tokens)
    return scores + ops.einsum("bhrs,hs->bhr", queries, bias)[..., None]


def folded_mix(weights, tokens, values):
    """What `weights` take of that which `values` would make of `tokens`.

    Args:
        weights: (batch, heads, readers, length). They need not sum to 1.
        tokens: (batch, length, width).
        values: a `foldable` projection.

    Returns:
        (batch, heads, readers, size).
    """
    kernel, bias = _by_head(values, weights.shape[1])
    mixed = ops.einsum("bhrl,blw->bhrw", weights, tokens)
    total = ops.sum(weights, axis=-1, keepdims=True)
    return ops.einsum("bhrw,whs->bhrs", mixed, kernel) + total * bias[:, None]


def _by_head(projection, heads):
    """Kernel (width, heads, size) and bias (heads, size)."""
    width = projection.kernel.shape[0]
    kernel = ops.reshape(projection.kernel, (width, heads, -1))
    return kernel, ops.reshape(projection.bias, (heads, -1))
