"""Choices in the graph are the examples that training makes of the same rows."""

import numpy as np
import pytest
import tensorflow as tf
import tokenizers
from numpy.testing import assert_array_equal
from tiny_tokenizers import wordpiece

import kerasft as kft
from kerasft.data.choosing import choice_examples
from kerasft.data.tokenizer import Tokenizer
from kerasft.serving import verify_choices as proof
from kerasft.serving.choice_signatures import choice_inputs
from kerasft.serving.fuzz import adversarial_texts
from kerasft.serving.verify import VerificationError
from kerasft.serving.verify_choices import choice_strings
from kerasft.serving.wordpiece import WordPieceGraph

LENGTH = 16


def made(**settings):
    own = tokenizers.Tokenizer.from_str(wordpiece(**settings).to_str())
    own.encode_special_tokens = True
    return Tokenizer(own, LENGTH, 0, {}), WordPieceGraph(own, LENGTH)


def rows_of(count, with_question):
    """Strange texts; contexts, questions and choices too long for 16 tokens."""
    texts = [text if text.strip() else "x" for text in adversarial_texts(9 * count, 2)]
    texts[::7] = [f"{text} {'a b ' * (len(text) % 9)}" for text in texts[::7]]
    return [
        {"context": texts[i], "choices": texts[i + 2 : i + 4 + i % 3]}
        | ({"question": texts[i + 1]} if with_question else {})
        for i in range(0, 9 * count, 9)
    ]


def in_training(rows, tokenizer):
    asked = kft.from_choices(
        [row["context"] for row in rows],
        [row["choices"] for row in rows],
        questions=[row.get("question") for row in rows]
        if "question" in rows[0]
        else None,
    )
    return choice_examples(asked, tokenizer)


@pytest.mark.parametrize("typed", [True, False])
@pytest.mark.parametrize("with_question", [True, False])
def test_they_are_cut_and_typed_alike(with_question, typed):
    tokenizer, graph = made(typed=typed)
    rows = rows_of(300, with_question)
    expected = in_training(rows, tokenizer)
    assert expected.shortened > 100
    found = choice_inputs(graph, **choice_strings(rows))
    found = {name: tensor.numpy() for name, tensor in found.items()}
    for place, column in enumerate(expected.examples.columns):
        real = found["attention_mask"][:, place] > 0
        assert_array_equal(real.sum(1), column.lengths)
        assert_array_equal(found["input_ids"][:, place][real], column.ids)
        seconds = np.arange(real.shape[1]) >= column.second_starts[:, None]
        types = found["token_type_ids"][:, place]
        assert_array_equal(types[real], (seconds & real)[real])


def test_a_choice_too_long_by_itself_keeps_its_end():
    _, graph = made()
    row = {
        "context": "good",
        "question": "bad",
        "choices": ["film " * 20 + "plot", "a"],
    }
    found = choice_inputs(graph, **choice_strings([row]))
    first, second = found["input_ids"].numpy()[0]
    plot, good = (graph.reference.vocabulary[word] for word in ("plot", "good"))
    assert first[-2] == plot and good not in first
    assert good in second and found["attention_mask"].numpy()[0].sum(1).tolist() == [
        LENGTH,
        6,
    ]


def test_nothing_gives_nothing_and_unlike_numbers_are_refused():
    _, graph = made()
    none = tf.constant([], tf.string)
    found = choice_inputs(graph, none, none, tf.zeros([0, 3], tf.string))
    assert found["input_ids"].shape[:2] == (0, 3)
    one, two = tf.constant(["a"]), tf.constant(["a", "b"])
    choices = tf.constant([["a", "b"], ["c", "d"]])
    for context, question in ((one, two), (two, one)):
        with pytest.raises(tf.errors.InvalidArgumentError, match="A context, a quest"):
            choice_inputs(graph, context, question, choices)


# --- the proof

ROW = {"context": "a", "choices": ["b", "c"]}


@pytest.mark.parametrize(
    "choice, index, scores, right",
    [
        ("c", 1, [0.3, 0.7, 0.0], True),
        ("b", 1, [0.3, 0.7, 0.0], False),
        ("b", 0, [0.3, 0.7, 0.0], False),
        ("c", 1, [0.3, 0.7001, 0.0], False),
        ("c", 1, [0.3, 0.7, 0.1], False),  # A choice that is not there.
        ("c", 1, [float("nan"), 0.7, 0.0], False),
    ],
)
def test_another_choice_or_score_is_told(choice, index, scores, right, monkeypatch):
    class Served:
        signatures = {
            "serving_default": lambda **_: {
                "choice": tf.constant([choice]),
                "index": tf.constant([index]),
                "score": tf.constant([0.7]),
                "scores": tf.constant([scores]),
            }
        }

    monkeypatch.setattr(proof.tf.saved_model, "load", lambda _: Served)

    def verify():
        return proof.verify_choices(
            "x", lambda _: [{"scores": [0.3, 0.7]}], [ROW], 1e-5
        )

    if right:
        assert verify() == 1
        return
    with pytest.raises(VerificationError, match="on 1 of 1 rows"):
        verify()
