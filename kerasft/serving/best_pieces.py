"""Words cut into the pieces that are likeliest together, in a graph.

All places of all words walk down a tree of the pieces at once; then the best way to
each place is worked out, place by place, of all words at once. The trap: sums are
taken in the reference's order and in float64, and of ways that are as likely the one
whose last piece is longest stays, so that ties come out alike.

Source: Unigram::encode_optimized of huggingface/tokenizers 0.23; Kudo 2018
(arXiv:1804.10959), section 3.2; Viterbi 1967.
"""

import numpy as np
import tensorflow as tf

from kerasft.serving.characters import CODE_POINTS
from kerasft.serving.lookup import lookup

PENALTY = 10.0  # of a character that is no piece, below the least likely one


class BestPieces(tf.Module):
    """Cut words into pieces.

    Args:
        vocabulary: (piece, log-likelihood), in the order of their ids.
        unknown_id: of characters that are no pieces; neighbours become one.
    """

    def __init__(self, vocabulary: list[tuple[str, float]], unknown_id: int):
        super().__init__(name="best_pieces")
        nodes, id_of_node = _tree([piece for piece, _ in vocabulary])
        self._child = lookup([*nodes], [*nodes.values()], -1)
        self._id_of_node = tf.constant(id_of_node, tf.int32)
        scores = np.array([score for _, score in vocabulary], np.float64)
        self._scores = tf.constant(scores)
        self._unknown_id = unknown_id
        self._unknown_score = scores.min() - PENALTY
        self._longest = max(len(piece) for piece, _ in vocabulary)

    def __call__(self, words):
        """Token ids, ragged int32 (words, tokens).

        Args:
            words: code points, ragged int32 (words, characters), none empty.
        """
        ids = self._matches(words)
        known = tf.gather(self._scores, tf.maximum(ids, 0))
        scores = tf.where(ids >= 0, known, -np.inf)
        alone = ids[:, :1] < 0  # Else it would be worse than the character itself.
        no_more = tf.zeros([1, tf.shape(ids)[1] - 1], tf.bool)
        alone = tf.concat([alone, tf.repeat(no_more, tf.shape(ids)[0], 0)], 1)
        ids = tf.where(alone, self._unknown_id, ids)
        scores = tf.where(alone, self._unknown_score, scores)
        return self._back(words, *self._forth(words, ids, scores))

    def _matches(self, words):
        """Piece that begins at each character, by its length: (characters, lengths)."""
        flat = tf.cast(words.flat_values, tf.int64)
        place = tf.range(tf.size(flat, tf.int64))
        end = tf.gather(words.row_limits(), words.value_rowids())

        def goes_on(length, node, found):
            return (length == 0) | tf.reduce_any(node >= 0)

        def longer(length, node, found):
            there = tf.minimum(
                place + tf.cast(length, tf.int64), tf.size(flat, tf.int64) - 1
            )
            inside = (node >= 0) & (place + tf.cast(length, tf.int64) < end)
            key = tf.where(inside, node * CODE_POINTS + tf.gather(flat, there), -1)
            node = self._child.lookup(key)
            own = tf.gather(self._id_of_node, tf.maximum(node, 0))
            found = found.write(length, tf.where(node >= 0, own, -1))
            return length + 1, node, found

        found = tf.TensorArray(tf.int32, 1, dynamic_size=True, element_shape=[None])
        start = (0, tf.zeros_like(place), found)
        most = self._longest
        _, _, found = tf.while_loop(goes_on, longer, start, maximum_iterations=most)
        return tf.transpose(found.stack())

    def _forth(self, words, ids, scores):
        """The last piece of the best way to each place, and its length.

        Returns:
            Two int32 (places, words); row 0 is of ways to the first character's end.
        """
        starts, lengths = words.row_starts(), words.row_lengths()
        count, most = words.nrows(), tf.shape(ids)[1]
        none = tf.fill([count, 1], tf.constant(-np.inf, tf.float64))
        best = tf.concat([tf.zeros_like(none), tf.repeat(none, most, 1)], 1)
        blank = tf.zeros([count, most], tf.int32)
        sizes = tf.range(1, most + 1)[None]
        longest = tf.cast(tf.reduce_max(tf.concat([[0], lengths], 0)), tf.int32)

        def step(place, best, size, last, found):
            inside = tf.cast(place, tf.int64) < lengths
            row = tf.where(inside, starts + tf.cast(place, tf.int64), 0)
            ways = best[:, :1] + tf.gather(scores, row)
            better = inside[:, None] & (ways > best[:, 1:])
            ahead = tf.where(better, ways, best[:, 1:])
            size = tf.where(better, sizes, size)
            last = tf.where(better, tf.gather(ids, row), last)
            found = [
                one.write(place, values[:, 0])
                for one, values in zip(found, (last, size), strict=True)
            ]
            best = tf.concat([ahead, none], 1)
            return place + 1, best, _shifted(size), _shifted(last), found

        found = [tf.TensorArray(tf.int32, longest, element_shape=[None]) for _ in "ab"]
        found = tf.while_loop(
            lambda place, *_: place < longest, step, (0, best, blank, blank, found)
        )[-1]
        return [one.stack() for one in found]

    def _back(self, words, last, size):
        """The pieces of the best ways, from their ends to their beginnings."""
        count = words.nrows(tf.int32)
        column, left = tf.range(count), tf.cast(words.row_lengths(), tf.int32)

        def step(number, left, found):
            where = tf.stack([tf.maximum(left - 1, 0), column], 1)
            piece = tf.where(left > 0, tf.gather_nd(last, where), -1)
            left -= tf.where(left > 0, tf.gather_nd(size, where), 0)
            return number + 1, left, found.write(number, piece)

        found = tf.TensorArray(tf.int32, 0, dynamic_size=True, element_shape=[None])
        number, _, found = tf.while_loop(
            lambda number, left, found: tf.reduce_any(left > 0), step, (0, left, found)
        )
        ids = tf.reshape(found.stack(), [number, count])
        ids = tf.transpose(tf.reverse(ids, [0]))
        again = (ids == self._unknown_id) & (
            tf.pad(ids, [[0, 0], [1, 0]], constant_values=-1)[:, :-1] == ids
        )
        return tf.ragged.boolean_mask(ids, (ids >= 0) & ~again)


def _shifted(values):
    """Columns one place to the left; the last one is blank."""
    return tf.pad(values[:, 1:], [[0, 0], [0, 1]])


def _tree(pieces):
    """Children of nodes by node and character; the id of the piece at each node."""
    nodes, id_of_node = {}, [-1]
    for number, piece in enumerate(pieces):
        node = 0
        for character in piece:
            key = node * CODE_POINTS + ord(character)
            node = nodes.get(key)
            if node is None:
                node = nodes[key] = len(id_of_node)
                id_of_node.append(-1)
        id_of_node[node] = number
    return nodes, id_of_node
