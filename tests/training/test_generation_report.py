"""Scores of generated texts are those of the libraries that define them."""

import numpy as np
import pytest
import sacrebleu
from hypothesis import given
from hypothesis import strategies as st
from rouge_score.rouge_scorer import RougeScorer

from kerasft._errors import DataError
from kerasft.training.generation_report import GenerationReport, distinct

GENERATED = [
    "The cat sat on the mat.",
    "A quick brown fox jumped over dogs",
    "nothing in common at all",
    "",
]
REFERENCES = [
    "The cat is on the mat.",
    "The quick brown fox jumps over the lazy dog.",
    "Some other words.",
    "There is a reference.",
]
SEVERAL = [[one, *GENERATED[i : i + 1]] for i, one in enumerate(REFERENCES)]
SEVERAL[3] = REFERENCES[3:]


def test_one_reference_gives_the_numbers_of_the_libraries():
    metrics = GenerationReport(GENERATED, REFERENCES).metrics
    bleu = sacrebleu.corpus_bleu(GENERATED, [REFERENCES])
    assert metrics["bleu"] == bleu.score > 0
    assert metrics["length_ratio"] == bleu.sys_len / bleu.ref_len
    assert metrics["chrf"] == sacrebleu.corpus_chrf(GENERATED, [REFERENCES]).score
    for name, theirs in (("1", "rouge1"), ("2", "rouge2"), ("l", "rougeL")):
        scorer = RougeScorer([theirs])
        pairs = zip(REFERENCES, GENERATED, strict=True)
        each = [scorer.score(*pair)[theirs].fmeasure for pair in pairs]
        assert metrics[f"rouge_{name}"] == pytest.approx(np.mean(each))
        assert np.mean(each) > 0


def test_several_references_count_the_best():
    report = GenerationReport(GENERATED[:3], SEVERAL[:3])
    assert report.metrics["bleu"] == pytest.approx(100)
    assert report.metrics["rouge_l"] == 1
    metrics = GenerationReport(GENERATED, SEVERAL).metrics
    streams = [[some[0] for some in SEVERAL], [*GENERATED[:3], None]]
    assert metrics["bleu"] == sacrebleu.corpus_bleu(GENERATED, streams).score
    assert metrics["rouge_l"] == 0.75


def test_distinct_is_counted_by_hand():
    words = ["a b a b".split(), "a b".split(), []]
    assert distinct(words, 1) == 2 / 6
    assert distinct(words, 2) == 2 / 4
    assert distinct(words, 3) == 1
    assert distinct(words, 5) == 0
    metrics = GenerationReport(["a b a b", "a b"], ["x", "y"]).metrics
    assert (metrics["distinct_1"], metrics["distinct_2"]) == (2 / 6, 2 / 4)


@given(st.lists(st.lists(st.sampled_from("ab"), max_size=6), max_size=4))
def test_distinct_is_a_share(words):
    assert 0 <= distinct(words, 1) <= 1
    assert distinct(words, 1) == 0 or distinct(words, 1) >= 1 / sum(map(len, words))


def test_other_scripts_need_a_way_to_split():
    with pytest.raises(DataError, match=r"references\[0\] has no word .*give split"):
        GenerationReport(["我爱你"], ["我爱她"])
    metrics = GenerationReport(
        ["我爱你"], ["我爱她"], tokenize="zh", split=list
    ).metrics
    assert metrics["rouge_1"] == pytest.approx(2 / 3)
    assert metrics["distinct_1"] == 1


def test_the_text_has_all_numbers_and_the_signature():
    report = GenerationReport(GENERATED, REFERENCES)
    told = report.text()
    for name, value in report.metrics.items():
        assert f"{name}: {value:.4f}" in told
    assert "tok:13a" in told and f"version:{sacrebleu.__version__}" in told
    assert GenerationReport(["a"], ["a"], "char").signature.count("tok:char") == 1


def test_the_worst_texts_come_first():
    worst = GenerationReport(GENERATED, REFERENCES).mistakes(2)
    assert [one.row for one in worst] == [2, 3]
    assert worst[0].label == REFERENCES[2] and worst[0].predicted == GENERATED[2]


@pytest.mark.parametrize(
    "generated, references, message",
    [
        ([], [], "0 generated texts and 0 references"),
        (["a"], ["a", "b"], "1 generated texts and 2 references"),
        ([1, "a"], ["a", None], r"(?s)2 texts .*\[0\] is 1,.*references\[1\] is"),
        (["a"] * 30, [[]] * 30, r"30 texts(?s:.)*and 10 more"),
    ],
)
def test_what_cannot_be_compared_is_told(generated, references, message):
    with pytest.raises(DataError, match=message):
        GenerationReport(generated, references)
