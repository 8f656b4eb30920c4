"""A tagger's SavedModel gives, without kerasft, what `predict_text` gives."""

import keras
import pytest
from lone_process import ask
from tensorflow_or_skip import tf
from tiny_tasks import TAGS, tiny_tagged

import kerasft as kft
from kerasft._errors import SettingsError
from kerasft.serving import verify_spans
from kerasft.serving.fuzz import adversarial_texts
from kerasft.serving.verify import VerificationError
from kerasft.tasks import exporting

TEXTS = [*tiny_tagged(12).texts(), "", "[SEP] Ünïted ﬁlms  gReat", "good " * 40]
TEXTS += adversarial_texts(20, 5)
KINDS = {
    "entities": {"labels": TAGS, "scheme": "IOB2", "crf": True},
    "words": {"labels": ("ADJ", "NOUN", "VERB")},
}


@pytest.fixture(scope="module", autouse=True)
def little_proof():
    """Fewer texts to verify on; the proof itself is tested in tests/serving."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(exporting, "VERIFIED_FUZZ", 50)
        yield


@pytest.fixture(scope="module")
def tasks(folder):
    """Taggers of short windows whose tags differ from word to word."""
    made = {}
    for name, options in KINDS.items():
        keras.utils.set_random_seed(1)
        task = kft.TokenClassifier.from_pretrained(folder, max_length=16, **options)
        for weight in task.trainable_weights:
            weight.assign_add(keras.random.normal(weight.shape, 0, 0.2))
        for weight in task.head.logits.weights:
            weight.assign(weight * 10)
        made[name] = task
    return made


@pytest.fixture(scope="module")
def exports(tasks, tmp_path_factory):
    place = tmp_path_factory.mktemp("exports")
    for name, task in tasks.items():
        task.export(place / name, tiny_tagged(12))
    return place


@pytest.fixture(scope="module")
def served(exports):
    """What a process with tensorflow and tensorflow_text alone is answered."""
    return ask({name: (exports / name, {"text": TEXTS}) for name in KINDS})


@pytest.mark.parametrize("name", KINDS)
def test_spans_are_those_of_predict_text(name, served, tasks):
    found, answers = [[] for _ in TEXTS], served[name]
    for i, row in enumerate(answers["row"]):
        span = {key: answers[key][i] for key in ("text", "label", "start", "end")}
        found[row].append((span, answers["score"][i]))
    expected = tasks[name].predict_text(TEXTS)
    assert sum(map(len, expected)) > 20
    for text, ours, theirs in zip(TEXTS, expected, found, strict=True):
        assert [one | {"score": None} for one in ours] == [
            one | {"score": None} for one, _ in theirs
        ], text
        for one, (_, score) in zip(ours, theirs, strict=True):
            assert one["score"] == pytest.approx(score, abs=1e-5)


def test_no_text_gives_no_spans(exports):
    serve = tf.saved_model.load(str(exports / "entities")).signatures["serving_default"]
    assert serve(text=tf.constant([], tf.string))["row"].shape == (0,)


def test_token_ids_alone_can_be_served(tasks, tmp_path):
    task = tasks["words"]
    task.export(tmp_path / "made", signature="tokens")
    serve = tf.saved_model.load(str(tmp_path / "made")).signatures["serving_default"]
    ids = tf.constant([[2, 5, 6, 3], [2, 7, 3, 0]])
    mask, types = tf.cast(ids > 0, tf.int32), tf.zeros_like(ids)
    logits = serve(input_ids=ids, attention_mask=mask, token_type_ids=types)["logits"]
    inputs = {"input_ids": ids, "attention_mask": mask, "token_type_ids": types}
    tf.debugging.assert_near(logits, task(inputs), atol=1e-5)
    with pytest.raises(SettingsError, match="known: text, tokens"):
        task.export(tmp_path / "x", signature="words")


def test_an_export_that_gives_other_spans_is_refused(tasks, tmp_path, monkeypatch):
    right = verify_spans.served_spans

    def wrong(served, count):
        return [row[:-1] for row in right(served, count)]

    monkeypatch.setattr(verify_spans, "served_spans", wrong)
    with pytest.raises(VerificationError, match="differs from the task on"):
        tasks["words"].export(tmp_path / "made", tiny_tagged(12))
    assert not (tmp_path / "made").exists()
