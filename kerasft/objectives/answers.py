"""Exact match and F1 of answers to questions, by the definition of SQuAD.

Plain Python: answers are strings. Version 2.0 is version 1.1 with questions that have
no answer, for which the empty answer is the right one.

Sources: Rajpurkar et al. 2016 (arXiv:1606.05250), section 6.1; Rajpurkar, Jia & Liang
2018 (arXiv:1806.03822), section 5; in the details as in their evaluation scripts.
"""

import re
import string
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from kerasft._errors import DataError

_PUNCTUATION = str.maketrans("", "", string.punctuation)
_ARTICLES = re.compile(r"\b(a|an|the)\b")


def normalized(answer: str) -> str:
    """Lower case, without ASCII punctuation and English articles, single spaces."""
    bare = answer.lower().translate(_PUNCTUATION)
    return " ".join(_ARTICLES.sub(" ", bare).split())


def exact_match(answer: str, accepted: str) -> float:
    """1 where both are the same once normalised, else 0."""
    return float(normalized(answer) == normalized(accepted))


def overlap_f1(answer: str, accepted: str) -> float:
    """F1 of the words that both have, as often as both have them."""
    found, wanted = normalized(answer).split(), normalized(accepted).split()
    if not found or not wanted:  # Without words it is all or nothing.
        return float(found == wanted)
    common = sum((Counter(found) & Counter(wanted)).values())
    return 2 * common / (len(found) + len(wanted))


@dataclass(frozen=True)
class AnswerScores:
    """Scores of each question, in their order, 0 to 1.

    Args:
        exact: (questions,) exact match with the best of the accepted answers.
        f1: (questions,) the same for F1.
        answerable: (questions,) whether the question has an answer.
    """

    exact: np.ndarray
    f1: np.ndarray
    answerable: np.ndarray

    def means(self) -> dict[str, float]:
        """`exact` and `f1` of all, and apart where some questions have no answer."""
        parts = {"": np.ones(len(self.exact), bool)}
        if not self.answerable.all():
            parts |= {"answerable_": self.answerable, "empty_": ~self.answerable}
        return {
            f"{name}{score}": float(values[chosen].mean())
            for name, chosen in parts.items()
            if chosen.any()
            for score, values in (("exact", self.exact), ("f1", self.f1))
        }


def score_answers(
    answers: Sequence[str], accepted: Sequence[Sequence[str]]
) -> AnswerScores:
    """Score one answer for each question.

    Args:
        answers: what was answered; "" is "there is no answer".
        accepted: what is right, each question's; none: it has no answer.

    Raises:
        DataError: not as many answers as questions.
    """
    if len(answers) != len(accepted):
        raise DataError(
            f"There are {len(answers):,} answers to {len(accepted):,} questions."
        )
    # An accepted answer of nothing but articles or punctuation could never be met.
    right = [[one for one in some if normalized(one)] for some in accepted]
    answerable = np.array([bool(some) for some in right], bool)

    def best(score):
        pairs = zip(answers, right, strict=True)
        return np.array(
            [max(score(given, one) for one in some or [""]) for given, some in pairs],
            "float64",
        )

    return AnswerScores(best(exact_match), best(overlap_f1), answerable)


def best_threshold(
    scores: AnswerScores, chance_of_none: Sequence[float], empty: Sequence[bool]
) -> dict[str, float]:
    """The chance of "no answer" above which it pays to give none, by F1.

    Args:
        scores: of the answers as they were given.
        chance_of_none: (questions,) how likely a question has no answer; any scale.
        empty: (questions,) whether nothing was answered anyway.

    There must be a question at least.

    Returns:
        `threshold`, and `exact` and `f1` with it. Where the chance is above the
        threshold, no answer is given. It is of the lowest that are as good, halfway
        between two chances: rounding must not decide on which side a question is.
    """
    chance, empty = np.asarray(chance_of_none, "float64"), np.asarray(empty, bool)
    order = np.argsort(chance, kind="stable")
    none = float((~scores.answerable).sum())  # What giving no answer at all scores.

    def totals(values):
        """Score of keeping the answers of the first 0, 1, 2, … questions in order."""
        lost = np.where(empty, 0.0, -1.0)
        gains = np.where(scores.answerable, values, lost)[order]
        return none + np.concatenate([[0.0], np.cumsum(gains)])

    exact, f1 = totals(scores.exact), totals(scores.f1)
    bounds = np.concatenate([[chance.min() - 2.0], chance[order], [chance.max() + 2.0]])
    # Questions of the same chance are kept together.
    places = np.flatnonzero(bounds[1:] != bounds[:-1])
    best = places[int(np.argmax(f1[places]))]
    return {
        "threshold": float(bounds[best : best + 2].mean()),
        "exact": float(exact[best] / len(chance)),
        "f1": float(f1[best] / len(chance)),
    }
