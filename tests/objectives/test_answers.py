"""SQuAD's scores against their definition, written down again step by step."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kerasft._errors import DataError
from kerasft.objectives.answers import (
    best_threshold,
    exact_match,
    normalized,
    overlap_f1,
    score_answers,
)

PIECES = ["The", "an", "a", "Cat", "cat", "sat,", "on.", "a-b", "é", "U.S.", "  ", "!"]
answers = st.lists(st.sampled_from(PIECES), max_size=5).map(" ".join) | st.text(
    max_size=12
)
CLOSE = {"rtol": 1e-12}


def defined_words(text):
    """The definition: lower case, no punctuation, no articles, split at white space."""
    punctuation = r"""!"#$%&'()*+,-./:;<=>?@[\]^_`{|}~"""
    text = "".join(c for c in text.lower() if c not in punctuation)
    word, words = "", []
    for c in text + " ":  # \b lies between a word character and another.
        if c.isalnum() or c == "_":
            word += c
            continue
        words.append(" " if word in ("a", "an", "the") else word)
        words.append(c)
        word = ""
    return "".join(words).split()


def defined_f1(text, other):
    found, wanted = defined_words(text), defined_words(other)
    left, common = list(wanted), 0
    for word in found:
        if word in left:
            left.remove(word)
            common += 1
    if not found or not wanted:
        return float(found == wanted)
    if not common:
        return 0.0
    precision, recall = common / len(found), common / len(wanted)
    return 2 * precision * recall / (precision + recall)


@settings(max_examples=1000, deadline=None)
@given(answers, answers)
def test_exact_match_and_f1_are_those_of_the_definition(text, other):
    assert normalized(text).split() == defined_words(text)
    assert exact_match(text, other) == (defined_words(text) == defined_words(other))
    np.testing.assert_allclose(overlap_f1(text, other), defined_f1(text, other))


@settings(max_examples=300, deadline=None)
@given(st.lists(st.tuples(answers, st.lists(answers, max_size=3)), min_size=1))
def test_the_best_of_the_accepted_answers_counts(questions):
    given_answers, accepted = zip(*questions, strict=True)
    scores = score_answers(given_answers, accepted)
    for i, (text, some) in enumerate(questions):
        right = [one for one in some if defined_words(one)] or [""]
        assert scores.answerable[i] == (right != [""])
        expected = max(defined_f1(text, one) for one in right)
        np.testing.assert_allclose(scores.f1[i], expected)
        assert scores.exact[i] == max(
            defined_words(text) == defined_words(one) for one in right
        )


def test_means_are_told_apart_where_questions_have_no_answer():
    scores = score_answers(["the cat", "dog", ""], [["Cat!"], ["a big dog"], []])
    assert scores.means() == pytest.approx(
        {
            "exact": 2 / 3,
            "f1": (1 + 2 / 3 + 1) / 3,
            "answerable_exact": 0.5,
            "answerable_f1": (1 + 2 / 3) / 2,
            "empty_exact": 1.0,
            "empty_f1": 1.0,
        }
    )
    assert set(score_answers(["a b"], [["b"]]).means()) == {"exact", "f1"}


questions = st.tuples(
    st.sampled_from(["cat", "dog", ""]),
    st.lists(st.sampled_from(["cat", "cat dog"]), max_size=2),
    st.sampled_from([-1.0, 0.0, 0.25, 0.5, 3.0]),
)


@settings(max_examples=500, deadline=None)
@given(st.lists(questions, min_size=1, max_size=8))
def test_no_threshold_is_better_than_the_best(asked):
    given_answers, accepted, chance = zip(*asked, strict=True)
    scores = score_answers(given_answers, accepted)
    best = best_threshold(scores, chance, [not text for text in given_answers])

    def with_threshold(threshold):
        kept = [
            "" if likely > threshold else text
            for text, likely in zip(given_answers, chance, strict=True)
        ]
        return score_answers(kept, accepted).means()

    reached = with_threshold(best["threshold"])
    np.testing.assert_allclose([best["exact"], best["f1"]], _pair(reached), atol=1e-12)
    for threshold in (-9.0, *chance):
        assert with_threshold(threshold)["f1"] <= best["f1"] + 1e-12


@pytest.mark.parametrize("right, expected", [(2, 0.5), (4, 3.0), (0, -2.0)])
def test_the_threshold_lies_halfway_between_two_chances(right, expected):
    accepted = [["cat"] if i < right else [] for i in range(4)]
    scores = score_answers(["cat"] * 4, accepted)
    best = best_threshold(scores, [-1.0, 0.0, 1.0, 2.0], [False] * 4)
    assert best["threshold"] == expected


def _pair(means):
    return [means["exact"], means["f1"]]


def test_another_number_of_answers_is_refused():
    with pytest.raises(DataError, match="2 answers to 1 questions"):
        score_answers(["a", "b"], [["a"]])
