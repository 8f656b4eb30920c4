import json
import subprocess
import sys
import textwrap

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import ops

from kerasft._errors import CheckpointError, SettingsError
from kerasft.serving.saving import INPUTS, Limits
from kerasft.serving.signatures import ClassifierFace, export_classifier
from kerasft.serving.verify import (
    VerificationError,
    verify_export,
    verify_tokenizer,
)
from kerasft.serving.wordpiece import WordPieceGraph

TEXTS = [f"Text {number} of [SEP] Z\u00fcrich \u4e2d" for number in range(40)] + [""]
LABELS = ("z\u00e9ro", "one", "two")


class BagOfTokens(keras.Model):
    def __init__(self, vocabulary, outputs):
        super().__init__()
        self.tokens = keras.layers.Embedding(vocabulary, 8)
        self.types = keras.layers.Embedding(2, 8)
        self.dropout = keras.layers.Dropout(0.5)
        self.scores = keras.layers.Dense(outputs, kernel_initializer="normal")
        self({name: np.ones((1, 2), "int32") for name in INPUTS})

    def call(self, inputs, training=None):
        mask = ops.cast(inputs["attention_mask"], "float32")[..., None]
        states = self.tokens(inputs["input_ids"]) + self.types(inputs["token_type_ids"])
        states = self.dropout(ops.sum(states * mask, axis=1), training=training)
        return self.scores(states)


@pytest.fixture(scope="module")
def graph(minilm):
    return WordPieceGraph((minilm / "tokenizer.json").read_text("utf-8"), 16)


def face_of(problem, labels=LABELS, pairs=False):
    return ClassifierFace(labels, problem, Limits(30522, 16), pairs)


def expected_from(model, graph, activation):
    def expected(*texts):
        return activation(model(graph(*map(tf.constant, texts)), training=False))

    return expected


def served(folder, **inputs):
    signature = "tokens" if "input_ids" in inputs else "serving_default"
    answers = tf.saved_model.load(str(folder)).signatures[signature](
        **{name: tf.constant(value) for name, value in inputs.items()}
    )
    return {name: tensor.numpy() for name, tensor in answers.items()}


@pytest.fixture(scope="module")
def exported(graph, tmp_path_factory):
    folder = tmp_path_factory.mktemp("export") / "classifier"
    model = BagOfTokens(30522, 3)
    expected = expected_from(model, graph, tf.nn.softmax)
    face = face_of("single_label")
    export_classifier(
        folder, model, face, graph, lambda new: verify_export(new, expected, TEXTS)
    )
    return folder, np.asarray(expected(TEXTS))


def test_a_classifier_serves_labels_for_strings(exported):
    folder, probabilities = exported
    answers = served(folder, text=TEXTS)
    np.testing.assert_allclose(answers["probabilities"], probabilities, atol=1e-5)
    np.testing.assert_array_equal(answers["score"], answers["probabilities"].max(1))
    labels = [label.decode() for label in answers["label"]]
    assert labels == [LABELS[place] for place in probabilities.argmax(1)]
    assert (folder / "assets/labels.txt").read_text("utf-8").split("\n") == [
        *LABELS,
        "",
    ]


def test_a_text_gets_the_same_answer_alone_and_in_a_batch(exported):
    folder, probabilities = exported
    alone = served(folder, text=TEXTS[3:4])["probabilities"][0]
    np.testing.assert_allclose(alone, probabilities[3], atol=1e-5)
    assert served(folder, text=np.array([], "S1"))["label"].shape == (0,)


def test_token_ids_give_the_logits_of_the_same_model(exported, graph):
    folder, probabilities = exported
    inputs = {name: tensor.numpy() for name, tensor in graph(TEXTS).items()}
    answers = served(folder, **inputs)
    np.testing.assert_allclose(answers["probabilities"], probabilities, atol=1e-5)
    np.testing.assert_allclose(
        tf.nn.softmax(answers["logits"]), probabilities, atol=1e-5
    )


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("input_ids", 30522, "input_ids must be 0 to 30521"),
        ("input_ids", -1, "input_ids must be 0 to 30521"),
        ("token_type_ids", 2, "token_type_ids must be 0 to 1"),
        ("attention_mask", 3, "attention_mask must be 0 to 1"),
    ],
)
def test_a_token_the_model_does_not_have_is_refused(exported, name, value, message):
    inputs = dict.fromkeys(INPUTS, np.ones((2, 3), "int32"))
    inputs[name] = np.array([[1, 1, 1], [1, value, 1]], "int32")
    with pytest.raises(tf.errors.InvalidArgumentError, match=message):
        served(exported[0], **inputs)


def test_rows_too_long_or_of_unlike_shape_are_refused(exported):
    inputs = dict.fromkeys(INPUTS, np.ones((1, 17), "int32"))
    with pytest.raises(tf.errors.InvalidArgumentError, match="more than the 16 tokens"):
        served(exported[0], **inputs)
    inputs["attention_mask"] = np.ones((1, 4), "int32")
    with pytest.raises(tf.errors.InvalidArgumentError, match="differ in shape"):
        served(exported[0], **inputs)


def test_the_saved_model_needs_tensorflow_and_tensorflow_text_alone(exported):
    folder, probabilities = exported
    program = f"""
        import json, sys
        import tensorflow as tf, tensorflow_text
        serve = tf.saved_model.load(r"{folder}").signatures["serving_default"]
        answers = serve(text=tf.constant(json.loads(sys.stdin.read())))
        assert not {{"kerasft", "tokenizers", "transformers"}} & set(sys.modules)
        print(json.dumps(answers["probabilities"].numpy().tolist()))
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)],
        input=json.dumps(TEXTS),
        check=True,
        capture_output=True,
        text=True,
    )
    found = json.loads(done.stdout.splitlines()[-1])
    np.testing.assert_allclose(found, probabilities, atol=1e-5)


def test_several_labels_of_pairs_are_chosen_one_by_one(graph, tmp_path):
    model = BagOfTokens(30522, 3)
    expected = expected_from(model, graph, tf.sigmoid)
    export_classifier(tmp_path / "x", model, face_of("multi_label", pairs=True), graph)
    pairs = TEXTS[::-1]
    assert verify_export(tmp_path / "x", expected, TEXTS, pairs) == len(TEXTS)
    answers = served(tmp_path / "x", text=TEXTS, text_pair=pairs)
    np.testing.assert_array_equal(answers["chosen"], answers["probabilities"] >= 0.5)


@pytest.mark.parametrize(("outputs", "shape"), [(1, (41,)), (2, (41, 2))])
def test_regression_serves_values(graph, tmp_path, outputs, shape):
    model = BagOfTokens(30522, outputs)
    export_classifier(tmp_path / "x", model, face_of("regression", ()), graph)
    assert served(tmp_path / "x", text=TEXTS)["value"].shape == shape
    assert not (tmp_path / "x/assets/labels.txt").exists()


def test_without_a_tokenizer_graph_token_ids_are_served(tmp_path):
    export_classifier(tmp_path / "x", BagOfTokens(30522, 3), face_of("single_label"))
    served_names = tf.saved_model.load(str(tmp_path / "x")).signatures[
        "serving_default"
    ]
    assert set(served_names.structured_input_signature[1]) == set(INPUTS)


def test_an_export_that_differs_from_the_model_leaves_nothing(graph, tmp_path):
    model = BagOfTokens(30522, 3)
    expected = expected_from(model, graph, lambda logits: tf.nn.softmax(logits) + 1e-4)
    with pytest.raises(VerificationError, match="41 of 41|32 of 32"):
        export_classifier(
            tmp_path / "x",
            model,
            face_of("single_label"),
            graph,
            lambda new: verify_export(new, expected, TEXTS),
        )
    assert list(tmp_path.iterdir()) == []


def test_an_export_takes_the_place_of_an_older_one_only(graph, tmp_path):
    for labels in (LABELS, ("a", "b", "c")):
        model = BagOfTokens(30522, 3)
        export_classifier(tmp_path / "x", model, face_of("single_label", labels), graph)
    assert (tmp_path / "x/assets/labels.txt").read_text("utf-8") == "a\nb\nc\n"
    (tmp_path / "mine/assets").mkdir(parents=True)
    with pytest.raises(CheckpointError, match="no saved_model.pb"):
        export_classifier(tmp_path / "mine", model, face_of("single_label"), graph)


@pytest.mark.parametrize(
    ("labels", "problem", "message"),
    [
        (("a",), "ranking", "Give one of single_label"),
        (("a", "b\nc"), "single_label", "one a line"),
        (("a", ""), "single_label", "one a line"),
        ((), "multi_label", "needs labels"),
    ],
)
def test_a_face_that_cannot_be_served_is_refused(labels, problem, message):
    with pytest.raises(SettingsError, match=message):
        face_of(problem, labels)


def test_a_tokenizer_that_differs_is_shown_with_both_ids(graph):
    reference = graph.reference.tokenizer
    other = type(reference).from_str(reference.to_str().replace('"hello"', '"hellq"'))
    with pytest.raises(VerificationError, match="(?s)1 of 2 texts.*hello.*graph.*7592"):
        verify_tokenizer(graph, other, ["hello", "there one"], fuzz=0)
