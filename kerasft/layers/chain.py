"""Sums and maxima over all tag sequences of a chain, and the gradient of the sum.

Shapes: logits (batch, length, tags), mask bool (batch, length), transitions (tags,
tags) as [tag before, tag now], starts and ends (tags,). Masked steps are passed over.
The gradient is the forward-backward algorithm, not what a backend makes of the loop:
TensorFlow's cannot be compiled.

Source: Sutton & McCallum 2012 (arXiv:1011.4088), section 4.1.
"""

from keras import ops

from kerasft.layers.gradient import with_gradient


def first_of(mask):
    """Whether a step is the first of its row that counts."""
    return ops.logical_and(mask, ops.cumsum(ops.cast(mask, "int32"), axis=1) == 1)


def over_steps(step, start, tensors, reverse=False):
    """`ops.scan` over several tensors: (what is carried, what each step gives).

    Keras' own fails on TensorFlow with more than one where the length is open.
    """
    places = ops.arange(ops.shape(tensors[0])[0], dtype="int32")

    def at(carried, place):
        return step(carried, [ops.take(tensor, place, axis=0) for tensor in tensors])

    return ops.scan(at, start, places, reverse=reverse)


def prefix_scores(logits, mask, transitions, starts, over):
    """Scores of what ends in each tag, after each step: (length, batch, tags).

    Args:
        over: how the ways to a tag become one number, such as `ops.max`.
    """

    def step(scores, now):
        emission, real, first = now
        moved = over(scores[:, :, None] + transitions, axis=1)
        here = ops.where(first, starts, moved) + emission
        scores = ops.where(real, here, scores)
        return scores, scores

    logits = ops.transpose(logits, (1, 0, 2))
    steps = (logits, _by_step(mask), _by_step(first_of(mask)))
    return over_steps(step, ops.zeros_like(logits[0]), steps)[1]


def log_partition(logits, mask, transitions, starts, ends):
    """Log of the sum over all sequences of exp(score): (batch,); 0 of no steps."""
    some = ops.cast(ops.any(mask, axis=1), logits.dtype)

    @with_gradient
    def partition(logits, transitions, starts, ends):
        forward = prefix_scores(logits, mask, transitions, starts, ops.logsumexp)
        total = ops.logsumexp(forward[-1] + ends, axis=-1)

        def gradient(*args, upstream=None):
            weight = (args[0] if upstream is None else upstream) * some
            later = _suffix_scores(logits, mask, transitions, ends)
            return _marginals(
                forward, later, total, weight, (logits, mask, transitions)
            )

        return total * some, gradient

    return partition(logits, transitions, starts, ends)


def tag_marginals(logits, mask, transitions, starts, ends):
    """Probability of each tag at each step, (batch, length, tags); 0 where masked.

    Only what tells the tags of one step apart is carried on: whole sums over a long row
    would leave no digits for that.
    """
    forward = prefix_scores(logits, mask, transitions, starts, _levelled)
    later = _suffix_scores(logits, mask, transitions, ends, _levelled)
    chances = ops.where(_by_step(mask), ops.softmax(forward + later, axis=-1), 0)
    return ops.transpose(chances, (1, 0, 2))


def _levelled(ways, axis):
    """Log-sums, less the largest of a row."""
    sums = ops.logsumexp(ways, axis=axis)
    return sums - ops.max(sums, axis=-1, keepdims=True)


def _suffix_scores(logits, mask, transitions, ends, over=ops.logsumexp):
    """What may follow each tag, after each step, as one number: (length, batch, tags).

    Args:
        over: as of `prefix_scores`.
    """
    logits = ops.transpose(logits, (1, 0, 2))
    goes_on = _by_step(ops.logical_and(mask, ops.logical_not(first_of(mask))))

    def step(scores, now):
        emission, goes_on = now
        ways = transitions + (emission + scores)[:, None, :]
        return ops.where(goes_on, over(ways, axis=-1), scores), scores

    end = ops.zeros_like(logits[0]) + ends
    return over_steps(step, end, (logits, goes_on), reverse=True)[1]


def _marginals(forward, later, total, weight, chain):
    """Gradients of logits, transitions, starts and ends: expected counts."""
    logits, mask, transitions = chain
    logits = ops.transpose(logits, (1, 0, 2))
    real, first = _by_step(mask), _by_step(first_of(mask))
    total, weight = total[:, None], weight[:, None]
    tags = ops.exp(forward + later - total) * weight  # (length, batch, tags)
    tags = ops.where(real, tags, 0)
    before = ops.concatenate([ops.zeros_like(forward[:1]), forward[:-1]], axis=0)
    now = logits + later - total
    pairs = ops.exp(before[..., None] + transitions + now[..., None, :])
    pairs = ops.where(
        ops.logical_and(real, ops.logical_not(first))[..., None], pairs, 0
    )
    return (
        ops.transpose(tags, (1, 0, 2)),
        ops.sum(pairs * weight[..., None], axis=(0, 1)),
        ops.sum(ops.where(first, tags, 0), axis=(0, 1)),
        ops.sum(ops.exp(forward[-1] + later[-1] - total) * weight, axis=0),
    )


def _by_step(flags):
    """(batch, length) to (length, batch, 1)."""
    return ops.transpose(flags)[..., None]
