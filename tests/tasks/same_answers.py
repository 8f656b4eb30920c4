"""Compare what a SavedModel answered with what the task says to the same.

`SAME` holds, for each export, a function of task, what was asked and what was served;
it gives something of each answer, so that a test can see whether answers differ.
"""

import re

import numpy as np
import pytest
from tiny_tasks import LABELS

from kerasft.data.relation_rows import relations_of
from kerasft.serving.verify_spans import is_answer

NEAR = {"abs": 1e-5}


def same_labels(task, given, served):
    told = task.predict_text(given["text"])
    assert served["label"] == [one["label"] for one in told]
    assert served["score"] == pytest.approx([one["score"] for one in told], **NEAR)
    return served["label"]


def same_chosen(task, given, served):
    pairs = zip(given["text"], given["text_pair"], strict=True)
    told = task.predict_text(list(pairs))
    scores = [list(one["scores"].values()) for one in told]
    np.testing.assert_allclose(served["probabilities"], scores, rtol=0, atol=1e-5)
    assert chosen_names(served) == [one["labels"] for one in told]
    return map(str, served["chosen"])


def chosen_names(served):
    return [
        [name for name, yes in zip(LABELS, row, strict=True) if yes]
        for row in served["chosen"]
    ]


def same_spans(task, given, served):
    told = task.predict_text(given["text"])
    flat = [(i, span) for i, spans in enumerate(told) for span in spans]
    assert served["row"] == [i for i, _ in flat]
    for key in ("text", "label", "start", "end"):
        assert served[key] == [span[key] for _, span in flat]
    assert served["score"] == pytest.approx([s["score"] for _, s in flat], **NEAR)
    return served["start"]


def same_relations(task, given, served):
    rows = [
        dict(zip(given, row, strict=True)) for row in zip(*given.values(), strict=True)
    ]
    logits = task.predict_rows(relations_of(rows))
    chances = task.probabilities(logits)
    np.testing.assert_allclose(served["probabilities"], chances, rtol=0, atol=1e-5)
    assert served["label"] == [one["label"] for one in task.described(logits)]
    return served["label"]


def same_triples(task, given, served):
    told = task.predict_text(given["text"])
    columns = [name for name in served if name != "score"]
    found = dict(
        zip(zip(*map(served.get, columns), strict=True), served["score"], strict=True)
    )
    wanted = {}
    for row, triples in enumerate(told):
        for one in triples:
            cells = {"row": row, "relation": one["relation"]}
            for name in ("subject", "object"):
                cells |= {name: one[name]["text"]}
                cells |= {f"{name}_{key}": one[name][key] for key in ("start", "end")}
            wanted[tuple(map(cells.get, columns))] = one["score"]
    for key in {*found, *wanted}:  # One that is as likely as not may be missing.
        assert found.get(key, 0.5) == pytest.approx(wanted.get(key, 0.5), **NEAR)
    return found


def same_answers(task, given, served):
    columns = zip(given["question"], given["context"], strict=True)
    asked = [{"question": question, "context": text} for question, text in columns]
    for i, weighed in enumerate(task.predict_text(asked, n_best=21)):
        found = {key: column[i] for key, column in served.items()}
        # A text of like characters has the same windows, and answers, over and over.
        assert is_answer(found, weighed, 1e-5), asked[i]
        again = re.search(r"(.)\1{40}", given["context"][i])
        assert again or found["start"] == weighed[0]["start"], asked[i]
    return [bool(answer) for answer in served["answer"]]


def same_guesses(task, given, served):
    told = task.predict_text(given["text"])
    assert served["masks"] == [len(masks) for masks in told]
    for i, masks in enumerate(told):
        for j, guesses in enumerate(masks):
            assert served["token"][i][j] == [one["token"] for one in guesses]
            scores = [one["score"] for one in guesses]
            assert served["score"][i][j] == pytest.approx(scores, **NEAR)
        assert not any(sum(served["token"][i][len(masks) :], []))
    return [row[0][0] for row in served["token"]]


def same_choices(task, given, served):
    rows = [
        {"context": context, "choices": [one for one in choices if one]}
        | ({"question": question} if question else {})
        for context, question, choices in zip(*given.values(), strict=True)
    ]
    told = task.predict_text(rows)
    for key in ("choice", "index"):
        assert served[key] == [one[key] for one in told]
    for found, one in zip(served["scores"], told, strict=True):
        assert found == pytest.approx([*one["scores"], 0, 0][:4], **NEAR)
    return served["index"]


def same_vectors(task, given, served):
    vectors = task.encode(given["text"])
    np.testing.assert_allclose(served["embedding"], vectors, rtol=0, atol=1e-5)
    return map(str, vectors)


def same_scores(task, given, served):
    told = task.predict_text(given["text"])
    scores = [list(one["scores"].values()) for one in told]
    np.testing.assert_allclose(served["scores"], scores, rtol=0, atol=1e-5)
    if task.multi_label:
        assert chosen_names(served) == [one["labels"] for one in told]
    else:
        assert served["label"] == [one["label"] for one in told]
    return map(str, served["scores"])


SAME = {
    "text_classifier": same_labels,
    "text_classifier of pairs": same_chosen,
    "token_classifier": same_spans,
    "token_classifier with crf": same_spans,
    "question_answerer": same_answers,
    "question_answerer in doubt": same_answers,
    "relation_extractor": same_relations,
    "triple_extractor": same_triples,
    "masked_lm": same_guesses,
    "multiple_choice": same_choices,
    "text_embedder": same_vectors,
    "few_shot_classifier": same_labels,
    "zero-shot by nearness": same_scores,
    "zero-shot by entailment": same_scores,
}
