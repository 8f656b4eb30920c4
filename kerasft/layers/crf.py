"""A linear-chain conditional random field: whole tag sequences instead of single tags.

The score of a sequence is the sum of its tokens' logits and of a weight for each pair
of neighbouring tags. Steps that are masked out are as if they were not there, so the
tokens that count may lie anywhere in a row.

Source: Lafferty, McCallum & Pereira 2001; recursions as in Sutton & McCallum 2012
(arXiv:1011.4088), sections 2.4 and 4.1.
"""

import keras
from keras import ops

from kerasft.layers.chain import (
    first_of,
    log_partition,
    over_steps,
    prefix_scores,
    tag_marginals,
)
from kerasft.layers.last_place import last_place

FORBIDDEN = -10_000.0  # Its exp() is 0; not so low that float32 loses all else to it.
NO_TAG = -100


class CRF(keras.layers.Layer):
    """Transition weights between tags, with what can be computed from them.

    Everything is float32 (float64 under that policy): sums over sequences lose too much
    in half precision. Where `mask` is all 0, log-likelihood and partition are 0.

    Args:
        num_tags: tags.
        allowed: bool (num_tags + 1, num_tags + 1), [tag before, tag now]; the last
            index is the edge of the sequence, as in `TagSet.allowed`; None: all are.
    """

    def __init__(self, num_tags, allowed=None, **kwargs):
        super().__init__(**kwargs)
        self.num_tags = num_tags
        self.allowed = allowed

    def build(self, shape=None):
        """Make the weights, all 0: at first every allowed sequence is as likely."""
        n = self.num_tags
        self.transitions = self.add_weight((n, n), "zeros", name="transitions")
        self.starts = self.add_weight((n,), "zeros", name="starts")
        self.ends = self.add_weight((n,), "zeros", name="ends")
        self.built = True

    def call(self, logits, mask):
        """As `decode`."""
        return self.decode(logits, mask)

    def log_likelihood(self, logits, tags, mask):
        """Log probability of tag sequences.

        Args:
            logits: (batch, length, tags).
            tags: (batch, length) integers; what stands at masked steps does not matter.
            mask: (batch, length), 1 = the step counts.

        Returns:
            (batch,), in nats.
        """
        logits = _shifted(self._float(logits))
        return self.score(logits, tags, mask) - self.log_partition(logits, mask)

    def score(self, logits, tags, mask):
        """Score of tag sequences, (batch,); arguments as of `log_likelihood`."""
        transitions, starts, ends = self._weights()
        logits, mask = self._float(logits), ops.cast(mask, "bool")
        one_hot = ops.one_hot(tags, self.num_tags, dtype=logits.dtype)
        one_hot = ops.where(mask[..., None], one_hot, 0)
        before, first = self._before(one_hot, mask)
        own = logits + ops.matmul(before, transitions)
        own = own + ops.where(first[..., None], starts, 0)
        last = ops.take_along_axis(one_hot, last_place(mask)[:, -1:, None], axis=1)
        last = ops.sum(last[:, 0] * ends, axis=-1)
        return ops.sum(own * one_hot, axis=(1, 2)) + last

    def log_partition(self, logits, mask):
        """Log of the sum over all sequences of exp(score), (batch,)."""
        mask = ops.cast(mask, "bool")
        return log_partition(self._float(logits), mask, *self._weights())

    def marginals(self, logits, mask):
        """How likely each tag of each step is, all sequences counted.

        Returns:
            (batch, length, tags), 0 at masked steps.
        """
        mask = ops.cast(mask, "bool")
        return tag_marginals(_shifted(self._float(logits)), mask, *self._weights())

    def decode(self, logits, mask):
        """The best tag sequence of each row (Viterbi).

        Returns:
            (batch, length) int32, -100 at masked steps; and its score, (batch,).
        """
        transitions, starts, ends = self._weights()
        logits, mask = self._float(logits), ops.cast(mask, "bool")
        scores = prefix_scores(logits, mask, transitions, starts, ops.max)
        final = scores[-1] + ends
        comes_on = ops.logical_and(mask, ops.logical_not(first_of(mask)))
        before = ops.concatenate([ops.zeros_like(scores[:1]), scores[:-1]], axis=0)

        def back(tag, step):
            scores, comes_on = step
            ways = scores + ops.take(ops.transpose(transitions), tag, axis=0)
            came_from = ops.cast(ops.argmax(ways, axis=-1), "int32")
            return ops.where(comes_on, came_from, tag), tag

        last = ops.cast(ops.argmax(final, axis=-1), "int32")
        steps = (before, ops.transpose(comes_on))
        tags = ops.transpose(over_steps(back, last, steps, reverse=True)[1])
        score = ops.where(ops.any(mask, axis=1), ops.max(final, axis=-1), 0.0)
        return ops.where(mask, tags, NO_TAG), score

    def _weights(self):
        """Weights of pairs, firsts and lasts, with what is not allowed at -10,000."""
        weights = [self.transitions, self.starts, self.ends]
        weights = [ops.cast(weight, self.variable_dtype) for weight in weights]
        if self.allowed is None:
            return weights
        parts = self.allowed[:-1, :-1], self.allowed[-1, :-1], self.allowed[:-1, -1]
        return [
            ops.where(part, weight, FORBIDDEN)
            for part, weight in zip(parts, weights, strict=True)
        ]

    def _float(self, logits):
        return ops.cast(logits, self.variable_dtype)

    def _before(self, one_hot, mask):
        """The tag before each step, one-hot or zeros; whether the step is the first."""
        last = ops.maximum(last_place(mask), 0)[..., None]
        last = ops.take_along_axis(one_hot, last, axis=1)
        before = ops.concatenate([ops.zeros_like(last[:, :1]), last[:, :-1]], axis=1)
        return before, first_of(mask)


def _shifted(logits):
    """Logits whose best at each step is 0: sums over long rows stay small, and exact.

    Likelihoods are the same.
    """
    return logits - ops.stop_gradient(ops.max(logits, axis=-1, keepdims=True))
