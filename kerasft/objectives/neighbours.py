"""Nearest neighbours among vectors, exact, in blocks that fit in memory."""

import numpy as np

BLOCK = 1024, 8192  # queries and candidates that are compared at a time


def unit_rows(vectors) -> np.ndarray:
    """Float32 rows of length 1; a row of zeros stays one."""
    vectors = np.asarray(vectors, "float32")
    length = np.sqrt(np.square(vectors).sum(-1, keepdims=True))
    return vectors / np.maximum(length, 1e-12)


def cosines(one, other) -> np.ndarray:
    """Cosines of rows (n, width) with other rows (m, width), all with all, (n, m)."""
    return unit_rows(one) @ unit_rows(other).T


def nearest_rows(queries, candidates, top, block=BLOCK):
    """The candidates with the largest cosine, the nearest first.

    Args:
        queries: (n, width).
        candidates: (m, width).
        top: how many; m where there are fewer.
        block: rows of each that are compared at a time.

    Returns:
        Their numbers, int64 (n, top), and their cosines, float32 (n, top). Equal ones
        stand in the order of their numbers.
    """
    queries, candidates = unit_rows(queries), unit_rows(candidates)
    top = min(top, len(candidates))
    numbers = np.empty((len(queries), top), "int64")
    scores = np.empty((len(queries), top), "float32")
    for start in range(0, len(queries) if top else 0, block[0]):
        part = slice(start, start + block[0])
        best = _Best(top)
        for first in range(0, len(candidates), block[1]):
            best.add(first, queries[part] @ candidates[first : first + block[1]].T)
        numbers[part], scores[part] = best.numbers, best.scores
    return numbers, scores


class _Best:
    """The best so far of each query, while blocks of candidates come in."""

    def __init__(self, top):
        self.top = top
        self.numbers = self.scores = None

    def add(self, first, scores):
        """Look at the scores (queries, candidates) of candidates from `first` on."""
        numbers = first + np.broadcast_to(np.arange(scores.shape[1]), scores.shape)
        if self.scores is not None:
            numbers = np.concatenate([self.numbers, numbers], axis=1)
            scores = np.concatenate([self.scores, scores], axis=1)
        places = _largest(scores, min(self.top, scores.shape[1]))
        self.numbers = np.take_along_axis(numbers, places, 1)
        self.scores = np.take_along_axis(scores, places, 1)


def _largest(scores, count):
    """Places of the largest scores of each row, in order; equal ones by place."""
    places = np.argpartition(-scores, count - 1, axis=1)[:, :count]
    least = np.take_along_axis(scores, places, 1).min(axis=1, keepdims=True)
    unsure = np.flatnonzero((scores >= least).sum(axis=1) > count)  # Which of equals?
    places[unsure] = np.argsort(-scores[unsure], axis=1, kind="stable")[:, :count]
    places.sort(axis=1)
    order = np.argsort(-np.take_along_axis(scores, places, 1), axis=1, kind="stable")
    return np.take_along_axis(places, order, 1)


def own_ranks(queries, candidates, block=BLOCK) -> np.ndarray:
    """Of each query the rank, from 1, of the candidate with the same number.

    Candidates that are as near as the own one do not push it back.
    """
    queries, candidates = unit_rows(queries), unit_rows(candidates)
    own = np.einsum("ij,ij->i", queries, candidates)
    ranks = np.ones(len(queries), "int64")
    for start in range(0, len(queries), block[0]):
        part = slice(start, start + block[0])
        for first in range(0, len(candidates), block[1]):
            found = queries[part] @ candidates[first : first + block[1]].T
            # Another order of the sum may differ in the last bits.
            ranks[part] += (found > own[part, None] + 1e-6).sum(axis=1)
    return ranks
