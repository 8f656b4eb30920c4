"""Byte pair encoding of many words at once, in TensorFlow ops.

Words go in as strings or as tokens, their tokens come out. All words are worked on side
by side: in each step every word merges the pair of neighbours that comes first in the
list of merges, until no word has such a pair.

The trap is a word that holds its best pair more than once. The reference merges the
leftmost and looks again; merging all of them is the same unless a pair with the new
token comes *earlier* in the list, as happens in lists made from tiktoken's (Llama 3).
Which merges are safe is known beforehand; of the others one is done at a time.

Source: Sennrich et al. 2016 (arXiv:1508.07909); Word::merge_all of
huggingface/tokenizers 0.23.
"""

from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from kerasft.serving.lookup import lookup


class PairMerges(tf.Module):
    """The list of merges of a tokenizer.

    Args:
        merges: (left, right, merged) token ids, the first to be done first.
        size: above all token ids.
    """

    def __init__(self, merges: Sequence[tuple[int, int, int]], size: int):
        super().__init__(name="merges")
        left, right, merged = np.array(merges, np.int64).reshape(-1, 3).T
        self._none = len(left)  # The rank of a pair that is not in the list.
        self._base = size
        pairs = left * self._base + right
        self._rank_of_pair = lookup(pairs, range(self._none), self._none)
        self._merged = tf.constant([*merged, 0], tf.int32)
        self._safe = tf.constant([*_safe(left, right, merged), True])

    def merged(self, tokens, rows, count):
        """Merge the tokens of words.

        Args:
            tokens: ids, flat int32.
            rows: number of each token's word, flat int32, rising.
            count: of the words.

        Returns:
            Token ids, ragged int32 (words, tokens).
        """
        flat = tf.TensorSpec([None], tf.int32)
        state = (tokens, rows, tf.zeros([0], tf.int32), tf.zeros([0], tf.int32))
        _, _, tokens, rows = tf.while_loop(
            lambda tokens, *_: tf.size(tokens) > 0,
            lambda *state: self._step(count, *state),
            state,
            shape_invariants=(flat.shape,) * 4,
        )
        order = tf.argsort(rows, stable=True)
        return tf.RaggedTensor.from_value_rowids(
            tf.gather(tokens, order),
            tf.cast(tf.gather(rows, order), tf.int64),
            tf.cast(count, tf.int64),
            validate=False,
        )

    def _step(self, count, tokens, rows, done, done_rows):
        """Merge in each word; words in which nothing can be merged go to the done."""
        ranks = self._ranks(tokens, rows)
        best = tf.gather(tf.math.unsorted_segment_min(ranks, rows, count), rows)
        unfinished = best < self._none
        chosen = self._chosen(unfinished & (ranks == best), best, rows, count)
        tokens = tf.where(chosen, tf.gather(self._merged, ranks), tokens)
        finished = ~unfinished
        stays = unfinished & ~_shifted(chosen)
        return (
            tf.boolean_mask(tokens, stays),
            tf.boolean_mask(rows, stays),
            tf.concat([done, tf.boolean_mask(tokens, finished)], 0),
            tf.concat([done_rows, tf.boolean_mask(rows, finished)], 0),
        )

    def _ranks(self, tokens, rows):
        """The rank of each token with the one after it, int32."""
        pairs = tf.cast(tokens, tf.int64)
        pairs = pairs[:-1] * self._base + pairs[1:]
        pairs = tf.where(rows[:-1] == rows[1:], pairs, -1)
        ranks = tf.cast(self._rank_of_pair.lookup(pairs), tf.int32)
        return tf.concat([ranks, [self._none]], 0)

    def _chosen(self, best_here, best, rows, count):
        """Of a word's best pairs those to merge now: "aaaa" holds three, two fit."""
        places = tf.range(tf.size(rows))
        begins = best_here & ~_shifted(best_here)
        run = tf.cumsum(tf.cast(begins, tf.int32))
        first_of_run = tf.concat([[0], tf.boolean_mask(places, begins)], 0)
        fits = best_here & ((places - tf.gather(first_of_run, run)) % 2 == 0)
        first = tf.math.unsorted_segment_min(
            tf.where(best_here, places, tf.int32.max), rows, count
        )
        is_first = places == tf.gather(first, rows)
        return fits & (tf.gather(self._safe, best) | is_first)


class Merges(PairMerges):
    """The list of merges of a byte-level tokenizer.

    Args:
        id_of_byte: 256 token ids; -1 for a byte that leaves no token.
        merges: (left, right, merged) token ids, the first to be done first.
    """

    def __init__(
        self, id_of_byte: Sequence[int], merges: Sequence[tuple[int, int, int]]
    ):
        highest = max((*id_of_byte, *(token for merge in merges for token in merge)))
        super().__init__(merges, highest + 1)
        self._id_of_byte = tf.constant(id_of_byte, tf.int32)

    def __call__(self, words):
        """Cut words into tokens.

        Args:
            words: (words,) strings.

        Returns:
            Token ids, ragged int32 (words, tokens).
        """
        data = tf.io.decode_raw(tf.strings.reduce_join(words), tf.uint8)
        tokens = tf.gather(self._id_of_byte, tf.cast(data, tf.int32))
        count = tf.size(words)
        rows = tf.repeat(tf.range(count), tf.strings.length(words))
        known = tokens >= 0
        return self.merged(
            tf.boolean_mask(tokens, known), tf.boolean_mask(rows, known), count
        )


def _shifted(marks):
    """Whether the one before is marked."""
    return tf.concat([[False], marks], 0)[:-1]


def _safe(left, right, merged):
    """Whether no pair that holds what a merge gives comes before that merge."""
    ranks = np.arange(len(left))
    first_use = {}
    for side in (left, right):
        for token, rank in zip(side.tolist(), ranks.tolist(), strict=True):
            first_use[token] = min(rank, first_use.get(token, rank))
    return [
        first_use.get(token, rank) >= rank
        for token, rank in zip(merged.tolist(), ranks.tolist(), strict=True)
    ]
