"""A SavedModel that gives, without kerasft, what `predict_text` gives."""

import keras
import numpy as np
import pytest
from lone_process import ask
from tensorflow_or_skip import tf
from tiny_encoders import save_torch, torch_classifier
from tiny_tasks import LABELS, tiny_rows
from tokenizers import (
    Tokenizer,
    decoders,
    models,
    pre_tokenizers,
    processors,
    trainers,
)
from tokenizers.normalizers import Lowercase

import kerasft as kft
from kerasft._errors import SettingsError
from kerasft.serving import verify
from kerasft.serving.fuzz import adversarial_texts
from kerasft.serving.reference import UnsupportedTokenizerError
from kerasft.serving.verify import VerificationError
from kerasft.serving.wordpiece import WordPieceGraph
from kerasft.tasks import exporting

TEXTS = [*tiny_rows(10).texts(), "", "[SEP] Ünïted ﬁlms", *adversarial_texts(20, 5)]
PROBLEMS = {
    "single_label": ("single_label", LABELS, False),
    "multi_label": ("multi_label", LABELS, False),
    "regression": ("regression", None, False),
    "numbers of pairs": ("regression", ("joy", "anger"), True),
}
PAIRED = [(name, paired) for name, (*_, paired) in PROBLEMS.items()]


@pytest.fixture(scope="module", autouse=True)
def little_proof():
    """Fewer texts to verify on; the proof itself is tested in tests/serving."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(exporting, "VERIFIED_FUZZ", 50)
        yield


def made(folder, problem="single_label", labels=LABELS, **options):
    """A task whose weights are far from those it started with."""
    keras.utils.set_random_seed(1)
    task = kft.TextClassifier.from_pretrained(folder, labels, problem, **options)
    for weight in task.trainable_weights:
        weight.assign_add(keras.random.normal(weight.shape, 0, 0.2))
    return task


@pytest.fixture(scope="module")
def tasks(folder):
    return {
        name: made(folder, problem, labels, max_length=16)
        for name, (problem, labels, _) in PROBLEMS.items()
    }


@pytest.fixture(scope="module")
def exports(tasks, tmp_path_factory):
    """A folder with one export for each of PROBLEMS."""
    place = tmp_path_factory.mktemp("exports")
    for name, (_, _, paired) in PROBLEMS.items():
        pairs = TEXTS[::-1] if paired else None
        tasks[name].export(place / name, kft.from_lists(TEXTS, text_pairs=pairs))
    return place


@pytest.fixture(scope="module")
def served(exports):
    """What a process with tensorflow and tensorflow_text alone is answered."""
    pair = {"text": TEXTS, "text_pair": TEXTS[::-1]}
    given = {name: pair if paired else {"text": TEXTS} for name, paired in PAIRED}
    return ask({name: (exports / name, texts) for name, texts in given.items()})


def test_loading_warns_of_no_gradient_that_was_left_behind(served):
    assert "custom gradient" not in served["stderr"]


def test_labels_and_scores_are_those_of_predict_text(served, tasks):
    told = tasks["single_label"].predict_text(TEXTS)
    found = served["single_label"]
    assert found["label"] == [one["label"] for one in told]
    scores = [one["score"] for one in told]
    np.testing.assert_allclose(found["score"], scores, atol=1e-5)
    assert len(set(found["label"])) > 1


def test_chosen_labels_are_those_of_predict_text(served, tasks):
    found = served["multi_label"]
    for one, chances, chosen in zip(
        tasks["multi_label"].predict_text(TEXTS),
        found["probabilities"],
        found["chosen"],
        strict=True,
    ):
        np.testing.assert_allclose(chances, list(one["scores"].values()), atol=1e-5)
        assert [name for name, yes in zip(LABELS, chosen, strict=True) if yes] == one[
            "labels"
        ]


def test_values_are_those_of_predict_text(served, tasks):
    told = [one["value"] for one in tasks["regression"].predict_text(TEXTS)]
    np.testing.assert_allclose(
        served["regression"]["value"], told, rtol=1e-5, atol=1e-5
    )
    pairs = list(zip(TEXTS, TEXTS[::-1], strict=True))
    told = tasks["numbers of pairs"].predict_text(pairs)
    np.testing.assert_allclose(
        served["numbers of pairs"]["value"],
        [list(one["values"].values()) for one in told],
        rtol=1e-5,
        atol=1e-5,
    )


def test_a_graph_that_tokenises_otherwise_is_never_written(
    tasks, tmp_path, monkeypatch
):
    whole = WordPieceGraph.__call__

    def tampered(self, *texts):
        return whole(self, *(tf.strings.regex_replace(t, "[éí]", "e") for t in texts))

    monkeypatch.setattr(WordPieceGraph, "__call__", tampered)
    with pytest.raises(VerificationError, match="tokenizer graph differs"):
        tasks["single_label"].export(tmp_path / "out", kft.from_lists(["cafés í"]))
    assert list(tmp_path.iterdir()) == []


def test_a_model_that_answers_otherwise_is_never_written(tasks, tmp_path, monkeypatch):
    task = tasks["single_label"]
    earlier = tmp_path / "out"
    earlier.mkdir()
    (earlier / "notes.txt").write_text("mine")

    def other(*_):
        return np.full((32, 3), 1 / 3)

    monkeypatch.setattr(exporting, "_served_numbers", other)
    with pytest.raises(VerificationError, match="(?s)SavedModel differs.*good"):
        task.export(earlier, kft.from_lists(["a good film"] * 32))
    assert [path.name for path in earlier.iterdir()] == ["notes.txt"]


def test_a_model_of_mixed_precision_is_verified_as_it_computes(folder, tmp_path):
    task = made(folder, precision="mixed_bfloat16", max_length=16)
    task.export(tmp_path / "out", kft.from_lists(TEXTS))
    serve = tf.saved_model.load(str(tmp_path / "out")).signatures["serving_default"]
    found = serve(text=tf.constant(TEXTS))["score"].numpy()
    told = [one["score"] for one in task.predict_text(TEXTS)]
    np.testing.assert_allclose(found, told, atol=exporting.TOLERANCES["mixed_bfloat16"])


@pytest.fixture(scope="module")
def byte_pairs(tmp_path_factory):
    """A RoBERTa classifier with a byte-level tokenizer of 100 pieces."""
    place = tmp_path_factory.mktemp("roberta")
    save_torch(torch_classifier("roberta"), place)
    letters = [chr(c) for c in range(33, 127)]
    names = ["<s>", "<pad>", "</s>", "<unk>", "Ġ", *letters][:100]
    own = Tokenizer(models.BPE({name: i for i, name in enumerate(names)}, []))
    own.pre_tokenizer = pre_tokenizers.ByteLevel()
    own.decoder = decoders.ByteLevel()
    own.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0))
    own.save(str(place / "tokenizer.json"))
    return kft.TextClassifier.from_pretrained(place, labels=LABELS, max_length=16)


def test_a_tokenizer_without_a_graph_is_refused(byte_pairs, tmp_path, monkeypatch):
    monkeypatch.setattr(byte_pairs.tokenizer.backend, "normalizer", Lowercase())
    with pytest.raises(UnsupportedTokenizerError, match="normalizer is Lowercase"):
        byte_pairs.export(tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


@pytest.fixture(scope="module")
def unigrams(tmp_path_factory):
    """A RoBERTa classifier with a Unigram tokenizer of a hundred pieces at most."""
    place = tmp_path_factory.mktemp("xlm_roberta")
    save_torch(torch_classifier("roberta"), place)
    own = Tokenizer(models.Unigram())
    own.pre_tokenizer = pre_tokenizers.Metaspace()
    own.decoder = decoders.Metaspace()
    special = ["<s>", "<pad>", "</s>", "<unk>"]
    options = {"special_tokens": special, "unk_token": "<unk>", "vocab_size": 100}
    trainer = trainers.UnigramTrainer(show_progress=False, **options)
    own.train_from_iterator(tiny_rows(40).texts(), trainer)
    own.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0))
    own.save(str(place / "tokenizer.json"))
    return kft.TextClassifier.from_pretrained(place, labels=LABELS, max_length=16)


@pytest.mark.parametrize("kind", ["byte_pairs", "unigrams"])
def test_other_tokenizers_are_served_by_graphs_of_their_own(kind, request, tmp_path):
    task = request.getfixturevalue(kind)
    texts = ["good film", "", "<s> bad", *adversarial_texts(20, 6)]
    task.export(tmp_path / "out", kft.from_lists(texts))
    served = ask({"out": (tmp_path / "out", {"text": texts})})["out"]
    told = task.predict_text(texts)
    assert served["label"] == [one["label"] for one in told]
    expected = [one["score"] for one in told]
    np.testing.assert_allclose(served["score"], expected, atol=1e-5)


def test_token_ids_are_served_for_any_tokenizer(byte_pairs, tmp_path):
    byte_pairs.export(tmp_path / "out", signature="tokens")
    model = tf.saved_model.load(str(tmp_path / "out"))
    texts = ["good film", "bad"]
    (inputs,) = byte_pairs.dataset(kft.from_lists(texts))
    inputs["token_type_ids"] = tf.zeros_like(inputs["input_ids"])
    found = model.signatures["serving_default"](**inputs)
    expected = byte_pairs.predict_rows(kft.from_lists(texts))
    np.testing.assert_allclose(found["logits"], expected, atol=1e-5)


def test_another_signature_is_refused(byte_pairs, tmp_path):
    with pytest.raises(SettingsError, match="known: text, tokens"):
        byte_pairs.export(tmp_path / "out", signature="strings")


@pytest.mark.parametrize("off, tolerance", [(2e-3, 1e-2), (2e-6, 1e-5)])
def test_numbers_may_be_apart_as_far_as_the_tolerance_says(
    tasks, exports, off, tolerance
):
    texts = ["a good film", "bad"]
    other = exporting._served_numbers(tasks["single_label"], texts)
    other[0, 0] += off

    def check(tolerance):
        folder = exports / "single_label"
        verify.verify_export(folder, lambda _: other, texts, tolerance=tolerance)

    check(tolerance)
    with pytest.raises(VerificationError, match="on 1 of 2 rows"):
        check(off / 10)
