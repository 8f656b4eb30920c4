"""From logits of windows to the best answers of each question.

An answer's score is the sum of its start's and its end's logit; that of no answer is
the same sum of the first token, in the window that is least sure of it.

Sources: Devlin et al. 2018 (arXiv:1810.04805), section 4.2, and its script for SQuAD
2.0. Here *all* pairs of start and end are searched, not those of the likeliest alone.
"""

from typing import NamedTuple

import numpy as np

N_BEST = 20


class Candidates(NamedTuple):
    """The best answers to one question, the best first.

    Args:
        starts: (answers,) int32, first character in the context.
        ends: (answers,) int32, the character after the last.
        scores: (answers,) float32.
        none: float32 score of "there is no answer".
    """

    starts: np.ndarray
    ends: np.ndarray
    scores: np.ndarray
    none: np.ndarray

    @property
    def doubts(self) -> np.ndarray:
        """By how much no answer outscores each answer, float64 (answers,)."""
        return (self.none - self.scores).astype("float64")

    @property
    def chances(self) -> np.ndarray:
        """Probabilities of the answers, and last that of none; their sum is 1."""
        scores = np.append(self.scores, self.none).astype("float64")
        parts = np.exp(scores - scores.max())
        return parts / parts.sum()


def best_answers(task, found, batch_size, max_length, count=N_BEST):
    """`Candidates` for each row, of all its windows.

    Args:
        task: whose logits.
        found: `QuestionExamples`.
        batch_size: windows worked on at once.
        max_length: the most tokens of an answer.
        count: the most answers to a question.
    """
    total = int(found.rows[-1]) + 1
    answers = [{} for _ in range(total)]
    none = np.full(total, np.inf, "float32")
    for chosen, outputs in task.outputs(found.examples, batch_size):
        for i, logits in zip(chosen, outputs, strict=True):
            row = found.rows[i]
            none[row] = min(none[row], logits[0].sum())
            known = answers[row]
            for start, end, score in _spans_of(found, i, logits, max_length, count):
                known[start, end] = max(score, known.get((start, end), score))
    return [_ranked(*both, count) for both in zip(answers, none, strict=True)]


def _spans_of(found, i, logits, max_length, count):
    """(first character, end, score) of the best answers in window `i`."""
    characters = found.characters[i]
    logits = logits[slice(*found.spans[i])]
    # Tokens without a character of their own neither begin nor end an answer.
    bare = characters[:, 0] >= characters[:, 1]
    logits = np.where(bare[:, None], -np.inf, logits)
    for first, last, score in best_spans(*logits.T, max_length, count):
        yield int(characters[first, 0]), int(characters[last, 1]), score


def best_spans(starts, ends, max_length, count):
    """The `count` pairs of first and last token with the largest sum of logits.

    Args:
        starts: (tokens,) logits; -inf where none may begin.
        ends: (tokens,) the same of ends.
        max_length: the most tokens from first to last.
        count: how many pairs; fewer if there are no more.

    Returns:
        (first, last, score) of each, best first; of equals the earlier, then the
        shorter.
    """
    if not len(starts):
        return []
    width = min(max_length, len(starts))
    ends = np.append(ends, np.full(width - 1, -np.inf, ends.dtype))
    near = np.lib.stride_tricks.sliding_window_view(ends, width)
    sums = (starts[:, None] + near).ravel()
    least = np.partition(sums, -count)[-count] if count < len(sums) else -np.inf
    places = np.flatnonzero((sums >= least) & (sums > -np.inf))
    places = places[np.argsort(-sums[places], kind="stable")][:count]
    return [
        (int(place // width), int(place // width + place % width), sums[place])
        for place in places
    ]


def _ranked(answers, none, count):
    """The best of {(start, end): score}."""
    ranked = sorted(answers, key=lambda span: (-answers[span], span))[:count]
    spans = np.array(ranked, "int32").reshape(-1, 2)
    scores = np.array([answers[span] for span in ranked], "float32")
    return Candidates(spans[:, 0], spans[:, 1], scores, none)


def told_answers(context, candidates, threshold):
    """Answers to one question as dicts, the best first.

    Args:
        context: the text.
        candidates: `Candidates`.
        threshold: by how much no answer must outscore those that it goes before; None:
            it is given only where there is nothing else.

    Returns:
        List of dicts: answer, start, end, score (its probability). No answer is "".
    """
    *chances, none = candidates.chances.tolist()
    spans = zip(candidates.starts.tolist(), candidates.ends.tolist(), strict=True)
    told = [
        {"answer": context[start:end], "start": start, "end": end, "score": chance}
        for (start, end), chance in zip(spans, chances, strict=True)
    ]
    if threshold is not None or not told:
        place = sum(doubt <= threshold for doubt in candidates.doubts)
        told.insert(place, {"answer": "", "start": 0, "end": 0, "score": none})
    return told
