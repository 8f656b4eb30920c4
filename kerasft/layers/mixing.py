"""Means of values weighted by attention, for which no weight is kept.

A row of n tokens has n x n weights a head, and dropping some makes as many again: for
long rows most of what training keeps. Here they are made again on the way back, of the
queries and keys. The trap: a compiler that sees the same formula twice computes it once
and keeps the result, so the second one begins with what flows back.

Source: Dao et al. 2022 (arXiv:2205.14135), section 3.1, on making them again.
"""

from keras import ops

from kerasft.layers.gradient import with_gradient


def mixed(queries, keys, values, weigh, drop):
    """Values mixed by attention weights.

    Args:
        queries: (batch, heads, readers, size), scaled.
        keys, values: (batch, heads, length, size).
        weigh: scores (batch, heads, readers, length) -> float32 weights, by a softmax.
        drop: weights -> weights, some of them 0 and the others scaled up; the same ones
            each time.

    Returns:
        (batch, heads, readers, size).
    """
    dtype = queries.dtype

    def narrow(wide):
        return drop(ops.cast(wide, dtype))

    @with_gradient
    def formula(queries, keys, values):
        def gradient(*args, upstream=None):
            upstream = args[0] if upstream is None else upstream
            weights = weigh(scores_of(_after(upstream, queries), keys))
            of_weights = drop(scores_of(upstream, values))
            of_weights = ops.cast(of_weights, "float32")
            mean = ops.sum(of_weights * weights, -1, keepdims=True)
            of_scores = ops.cast(weights * (of_weights - mean), dtype)
            return (
                ops.matmul(of_scores, keys),
                _gathered(of_scores, queries),
                _gathered(narrow(weights), upstream),
            )

        weights = weigh(scores_of(queries, keys))
        return ops.matmul(narrow(weights), values), gradient

    return formula(queries, keys, values)


def _after(earlier, tensor):
    """The tensor as it is, but not to be had before the other."""
    nothing = ops.minimum(ops.absolute(earlier[:1, :1, :1, :1]), 0.0)
    return tensor + ops.cast(nothing, tensor.dtype)


def scores_of(queries, keys):
    """Products of each query with each key, (batch, heads, readers, length)."""
    return ops.einsum("bhqs,bhks->bhqk", queries, keys)


def _gathered(weights, queries):
    """What each key gets of the queries, (batch, heads, length, size)."""
    return ops.einsum("bhqk,bhqs->bhks", weights, queries)
