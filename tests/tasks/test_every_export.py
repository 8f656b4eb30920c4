"""Every task that serves strings answers, without kerasft, as it does in memory.

All SavedModels are asked 500 strings, real and strange ones, in one process that has
TensorFlow and tensorflow_text alone; of a tiny checkpoint and of a real one. Quickly
only those of a few tasks are: others have their own files, `test_export*.py`.
"""

import functools
import re

import keras
import numpy as np
import pytest
from lone_process import ask
from tiny_tasks import LABELS, TAGS, save_tiny_bert

import kerasft as kft
from kerasft.serving.fuzz import adversarial_texts, with_masks
from kerasft.serving.verify_spans import is_answer
from kerasft.tasks import TASKS, exporting

NEAR = {"abs": 1e-5}
FEW, MANY = 60, 500
QUICK = ("masked_lm", "multiple_choice", "zero-shot by nearness")
KINDS = ("tiny", "minilm")
LENGTH = 40  # Tokens that a model takes.


# --- of each export: how it is made, from a function that makes a task


def answerer(made):
    """One that gives no answer to half of the questions."""
    task = made(kft.QuestionAnswerer)
    asked = kft.from_questions(["who?"] * 9, adversarial_contexts(9))
    doubts = [one.doubts[0] for one in task.predict_rows(asked) if len(one.scores)]
    task.no_answer_threshold = float(np.sort(doubts)[3:5].mean())
    return task


def adversarial_contexts(count):
    return [f"a good film {text}" for text in adversarial_texts(count, 11)]


def entailment(made):
    task = made(kft.TextClassifier, labels=("entailment", "neutral", "contradiction"))
    return kft.ZeroShotClassifier(task, LABELS, "a {} film", multi_label=True)


def nearness(made):
    return kft.ZeroShotClassifier(made(kft.TextEmbedder, pooling="mean"), LABELS)


EXPORTS = {
    "text_classifier": lambda made: made(kft.TextClassifier, labels=LABELS),
    "text_classifier of pairs": lambda made: made(
        kft.TextClassifier, labels=LABELS, problem="multi_label"
    ),
    "token_classifier": lambda made: made(
        kft.TokenClassifier, labels=("ADJ", "NOUN", "VERB")
    ),
    "token_classifier with crf": lambda made: made(
        kft.TokenClassifier, labels=TAGS, scheme="IOB2", crf=True
    ),
    "question_answerer": lambda made: made(kft.QuestionAnswerer),
    "question_answerer in doubt": answerer,
    "masked_lm": lambda made: made(kft.MaskedLM),
    "multiple_choice": lambda made: made(kft.MultipleChoice),
    "text_embedder": lambda made: made(kft.TextEmbedder, pooling="mean"),
    "few_shot_classifier": lambda made: made(kft.FewShotClassifier, labels=LABELS),
    "zero-shot by nearness": nearness,
    "zero-shot by entailment": entailment,
}
WITHOUT_STRINGS = {"pretraining", "replaced_token_detection"}


def export(name, task, folder):
    task.export(folder, **({"pairs": True} if name.endswith("of pairs") else {}))


# --- what each is asked, from all strings


def masked(text, seed, reading):
    """The beginning of a text, with masks in it, that is short enough."""
    (found,) = with_masks([text], "[MASK]", seed)
    while len(reading.encode(found).ids) > LENGTH:  # A mask may split a word.
        text = text[: len(text) // 2]
        (found,) = with_masks([text], "[MASK]", seed)
    return found


def asked(name, texts, task):
    others = texts[::-1]
    if name.endswith("of pairs"):
        return {"text": texts, "text_pair": others}
    if name.startswith("question_answerer"):
        return {"question": others, "context": texts}
    if name == "masked_lm":
        reading = task.tokenizer.reading_masks().backend
        return {"text": [masked(text, i, reading) for i, text in enumerate(texts)]}
    if name == "multiple_choice":
        several = [
            [text if text.strip() else "x" for text in (texts[i - 1], *others[i:][:3])]
            for i in range(len(texts) - 1)
        ]
        counts = [2 + i % 3 for i in range(len(several))]
        return {
            "context": texts[:-1],
            "question": [text if i % 2 else "" for i, text in enumerate(others[:-1])],
            "choices": [
                [*some[:count], "", "", ""][:4]
                for some, count in zip(several, counts, strict=True)
            ],
        }
    return {"text": texts}


# --- what the task itself says to the same


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
    "masked_lm": same_guesses,
    "multiple_choice": same_choices,
    "text_embedder": same_vectors,
    "few_shot_classifier": same_labels,
    "zero-shot by nearness": same_scores,
    "zero-shot by entailment": same_scores,
}


def test_every_task_is_here():
    served = {name.split(" ")[0] for name in EXPORTS} - {"zero-shot"}
    assert served | WITHOUT_STRINGS == set(TASKS)


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory):
    keras.utils.set_random_seed(0)
    tiny = save_tiny_bert(tmp_path_factory.mktemp("tiny"), num_layers=1)
    return {"tiny": lambda _: tiny, "minilm": lambda ask: ask("minilm")}


@pytest.fixture(scope="module")
def served(request, checkpoints, vader_texts, tmp_path_factory):
    """A function of checkpoint and number of strings, of which one process is asked."""

    @functools.cache
    def all_of(kind, count):
        folder = checkpoints[kind](request.getfixturevalue)
        place = tmp_path_factory.mktemp("exports")
        return answered(folder, kind, count, vader_texts, place)

    return all_of


def answered(folder, kind, count, vader_texts, place):
    """Of each export its task, what was asked, and what the lone process answered."""
    real = vader_texts[:: len(vader_texts) // count][: count // 2]
    texts = [*real, *adversarial_texts(count - count // 2, 5)]

    def made(task, **options):
        """Its weights are far from those it started with, so that answers differ."""
        keras.utils.set_random_seed(1)
        task = task.from_pretrained(folder, max_length=LENGTH, **options)
        for weight in task.trainable_weights if kind == "tiny" else ():
            weight.assign_add(keras.random.normal(weight.shape, 0, 0.2))
        for weight in getattr(task.head, "logits", keras.layers.Layer()).weights:
            weight.assign(weight * 10)
        return task

    chosen = QUICK if count == FEW else EXPORTS
    tasks = {name: EXPORTS[name](made) for name in chosen}
    with pytest.MonkeyPatch.context() as patch:
        # The proof itself is tested in tests/serving.
        patch.setattr(exporting, "VERIFIED_FUZZ", 50)
        for name, task in tasks.items():
            export(name, task, place / name)
    given = {name: asked(name, texts, tasks[name]) for name in chosen}
    answers = ask({name: (place / name, given[name]) for name in chosen})
    return {name: (tasks[name], given[name], answers[name]) for name in chosen}


CASES = [("tiny", FEW, name) for name in QUICK]
CASES += [
    pytest.param(kind, MANY, name, marks=pytest.mark.slow)
    for kind in KINDS
    for name in EXPORTS
]


@pytest.mark.parametrize("kind, count, name", CASES)
def test_it_answers_alone_as_the_task_does(kind, count, name, served):
    answers = SAME[name](*served(kind, count)[name])
    assert len(set(answers)) > 1  # Else a wrong answer could not show.
