"""SavedModels of answers and of vectors give, without kerasft, what the task gives."""

import functools

import keras
import numpy as np
import pytest
from lone_process import ask
from tensorflow_or_skip import tf
from tiny_tasks import save_tiny_bert, tiny_questions, tiny_rows

import kerasft as kft
from kerasft.serving import verify_spans
from kerasft.serving.fuzz import adversarial_texts
from kerasft.serving.verify import VerificationError
from kerasft.tasks import exporting

TEXTS = [*tiny_rows(10).texts(), "", "[SEP] Ünïted ﬁlms", *adversarial_texts(20, 5)]
ROWS = [tiny_questions(12)[i] for i in range(12)]
ASKED = [{name: row[name] for name in ("question", "context")} for row in ROWS]
ASKED += [{"question": "q", "context": ""}, {"question": "", "context": "a film"}]
ASKED += [{"question": "w " * 40, "context": text} for text in TEXTS[-20:]]


@pytest.fixture(scope="module", autouse=True)
def little_proof():
    """Fewer texts to verify on; the proof itself is tested in tests/serving."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(exporting, "VERIFIED_FUZZ", 50)
        yield


def made(kind, folder, **options):
    keras.utils.set_random_seed(1)
    task = kind.from_pretrained(folder, **options)
    for weight in task.trainable_weights:
        weight.assign_add(keras.random.normal(weight.shape, 0, 0.2))
    return task


@pytest.fixture(scope="module")
def tasks(tmp_path_factory):
    keras.utils.set_random_seed(0)
    folder = save_tiny_bert(tmp_path_factory.mktemp("tiny"), num_layers=1)
    tasks = {
        "vectors": made(kft.TextEmbedder, folder, pooling="mean", normalise=True),
        "answers": made(kft.QuestionAnswerer, folder, max_length=32),
    }
    tasks["unsure"] = made(kft.QuestionAnswerer, folder, max_length=32)
    told = tasks["unsure"].predict_rows(tiny_questions(12))
    tasks["unsure"].no_answer_threshold = float(np.median([t.doubts[0] for t in told]))
    return tasks


@pytest.fixture(scope="module")
def served(tasks, tmp_path_factory):
    """What a process with tensorflow and tensorflow_text alone is answered."""
    place = tmp_path_factory.mktemp("exports")
    tasks["vectors"].export(place / "vectors", tiny_rows(10))
    tasks["answers"].export(place / "answers", tiny_questions(12))
    tasks["unsure"].export(place / "unsure", tiny_questions(12))
    asked = {name: [row[name] for row in ASKED] for name in ASKED[0]}
    given = {name: (place / name, asked) for name in ("answers", "unsure")}
    return ask({"vectors": (place / "vectors", {"text": TEXTS}), **given})


def test_vectors_are_those_of_encode(served, tasks):
    expected = tasks["vectors"].encode(TEXTS)
    np.testing.assert_allclose(served["vectors"]["embedding"], expected, atol=1e-5)
    assert np.std(expected, axis=0).max() > 1e-2


@pytest.mark.parametrize("name", ["answers", "unsure"])
def test_answers_are_those_of_predict_text(name, served, tasks):
    expected = tasks[name].predict_text(ASKED)
    empty = [one["answer"] == "" for one in expected]
    assert sum(empty) >= (4 if name == "unsure" else 1) and not all(empty)
    for i, one in enumerate(expected):
        for key in ("answer", "start", "end"):
            assert served[name][key][i] == one[key], (ASKED[i], one)
        assert served[name]["score"][i] == pytest.approx(one["score"], abs=1e-5)


def test_an_export_that_gives_other_answers_is_refused(tasks, tmp_path):
    task = tasks["answers"]
    good = [{"question": "q", "context": "a film"}]
    task.export(tmp_path / "made", signature="tokens")
    assert not hasattr(
        tf.saved_model.load(str(tmp_path / "made")).signatures["serving_default"],
        "question",
    )

    class Served:
        signatures = {
            "serving_default": lambda question, context: {
                "answer": tf.constant(["film"]),
                "start": tf.constant([0]),
                "end": tf.constant([1]),
                "score": tf.constant([2.0]),
            }
        }

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(verify_spans.tf.saved_model, "load", lambda _: Served)
        with pytest.raises(VerificationError, match="differs from the task on 1 of 1"):
            expected = functools.partial(task.predict_text, n_best=21)
            verify_spans.verify_answers("x", expected, good, 1e-5)


def answer(text, start, score):
    return {"answer": text, "start": start, "end": start + len(text), "score": score}


BEST, AS_GOOD, WORSE = answer("a", 2, 0.4), answer("a", 9, 0.39999), answer("b", 5, 0.3)
NONE = answer("", 0, 0.4)


@pytest.mark.parametrize(
    "found, wanted, right",
    [
        (BEST, [BEST, AS_GOOD], True),
        (AS_GOOD, [BEST, AS_GOOD, WORSE], True),
        (WORSE, [BEST, AS_GOOD, WORSE], False),
        (BEST | {"score": 0.4001}, [BEST], False),
        (BEST | {"end": 4}, [BEST], False),
        (NONE, [BEST, NONE], False),
        (BEST, [NONE, BEST], False),
        (NONE, [NONE], True),
    ],
)
def test_another_answer_is_right_only_if_it_is_as_good(found, wanted, right):
    assert verify_spans.is_answer(found, wanted, 1e-5) is right
