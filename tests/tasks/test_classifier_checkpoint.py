"""Classifiers in and out of Hugging Face folders: heads, labels, lengths."""

import keras
import numpy as np
import pytest
from tiny_classifiers import (
    TEXTS,
    made,
)
from tiny_encoders import EXACT, batch_for, run_torch, save_torch, torch_classifier
from tiny_tasks import LABELS, save_tiny_bert
from tiny_tokenizers import save_tokenizer

import kerasft as kft
from kerasft._errors import CheckpointError, SettingsError
from kerasft.models import FAMILIES


def test_transformers_loads_what_is_saved(folder, problem, tmp_path):
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    task = made(folder, problem)
    task.save_pretrained(tmp_path / "saved")
    theirs = AutoModelForSequenceClassification.from_pretrained(tmp_path / "saved")
    names = dict(enumerate(LABELS if problem != "regression" else ["value"]))
    assert theirs.config.id2label == names
    assert theirs.config.label2id == {name: i for i, name in names.items()}
    assert theirs.config.problem_type.startswith(problem)
    inputs = AutoTokenizer.from_pretrained(tmp_path / "saved")(
        TEXTS, padding=True, return_tensors="np"
    )
    expected = run_torch(theirs.eval(), {**inputs}).logits
    found = task.predict_rows(kft.from_lists(TEXTS))
    np.testing.assert_allclose(found, expected, atol=1e-5)


@pytest.mark.parametrize("model_type", FAMILIES)
def test_the_head_of_a_finetuned_torch_model_gives_its_logits(model_type, tmp_path):
    names = {i: label for i, label in enumerate(LABELS)}
    ids = {label: i for i, label in names.items()}
    model = torch_classifier(model_type, id2label=names, label2id=ids)
    save_tokenizer(save_torch(model, tmp_path))
    task = kft.TextClassifier.from_pretrained(tmp_path)
    assert (task.labels, task.fresh_weights) == (LABELS, ())
    batch = batch_for(model_type)
    logits = task.predict(batch, verbose=0)
    np.testing.assert_allclose(logits, run_torch(model, batch).logits, **EXACT)


@pytest.fixture(scope="module")
def finetuned(folder, tmp_path_factory):
    """A folder with a head for LABELS, and what its model predicts."""
    task = made(folder)
    place = tmp_path_factory.mktemp("finetuned")
    task.save_pretrained(place)
    return place, task.predict_rows(kft.from_lists(TEXTS))


def test_a_head_is_loaded_with_its_labels_and_problem(finetuned, folder, tmp_path):
    place, logits = finetuned
    task = kft.TextClassifier.from_pretrained(place)
    assert (task.labels, task.problem, task.fresh_weights) == (
        LABELS,
        "single_label",
        (),
    )
    np.testing.assert_array_equal(task.predict_rows(kft.from_lists(TEXTS)), logits)
    made(folder, "multi_label").save_pretrained(tmp_path)
    assert kft.TextClassifier.from_pretrained(tmp_path).problem == "multi_label"


def test_a_head_of_the_same_labels_keeps_their_order(finetuned):
    task = kft.TextClassifier.from_pretrained(finetuned[0], labels=LABELS[::-1])
    assert task.labels == LABELS
    rows = kft.from_lists(["a", "b", "c"], ["meh", "bad", "good"])
    assert task.label_array(rows).tolist() == [2, 0, 1]


def test_a_head_of_other_labels_is_refused_by_both_names(finetuned):
    message = "for the labels bad, good, meh, but asked for are yes, no.*new_head=True"
    with pytest.raises(CheckpointError, match=message):
        kft.TextClassifier.from_pretrained(finetuned[0], labels=("yes", "no"))


def test_a_new_head_is_fresh_in_its_last_layer_alone(finetuned):
    keras.utils.set_random_seed(7)
    task = kft.TextClassifier.from_pretrained(
        finetuned[0], labels=("yes", "no"), new_head=True
    )
    assert task.labels == ("yes", "no")
    assert {path.split("/")[0] for path in task.fresh_weights} == {"logits"}
    assert task.predict_rows(kft.from_lists(TEXTS)).shape == (21, 2)


def test_nameless_labels_of_a_checkpoint_are_replaced(folder, tmp_path):
    made(folder, labels=[f"LABEL_{i}" for i in range(3)]).save_pretrained(tmp_path)
    task = kft.TextClassifier.from_pretrained(tmp_path, labels=LABELS)
    assert task.labels == LABELS and task.fresh_weights == ()
    with pytest.raises(CheckpointError, match="LABEL_0, LABEL_1, LABEL_2, but asked"):
        kft.TextClassifier.from_pretrained(tmp_path, labels=("yes", "no"))


def test_the_weights_of_a_head_can_be_read(task):
    shapes = {
        path.split("/", 1)[-1]: weight.shape
        for path, weight in ((w.path, w) for w in task.head.weights)
        if "seed" not in path
    }
    assert {name: tuple(shape) for name, shape in shapes.items()} == {
        "pooler/kernel": (32, 32),
        "pooler/bias": (32,),
        "logits/kernel": (32, 3),
        "logits/bias": (3,),
    }


@pytest.mark.parametrize(
    "options, message",
    [
        ({"labels": None}, "names no labels"),
        ({"labels": ["good"]}, "two or more"),
        ({"labels": ["good", "good"]}, "two or more different"),
        ({"problem": "tagging"}, "known: single_label, multi_label, regression"),
        ({"precision": "float16"}, "known: float32, mixed_bfloat16"),
    ],
)
def test_settings_outside_what_they_may_be_are_refused(folder, options, message):
    options = {"labels": LABELS} | options
    with pytest.raises(SettingsError, match=message):
        kft.TextClassifier.from_pretrained(folder, **options)


def test_longer_texts_are_cut_to_max_length(folder):
    task = made(folder, max_length=8)
    data = task.dataset(kft.from_lists(["good " * 50, "bad"]))
    assert next(iter(data))["input_ids"].shape == (2, 8)
    assert data.batches.examples.truncated == 1
    with pytest.raises(CheckpointError, match="5 to 40 tokens"):
        made(folder, max_length=41)


def test_a_tokenizer_larger_than_the_model_is_refused(tmp_path):
    save_tiny_bert(tmp_path, num_layers=1, vocab_size=60)
    with pytest.raises(CheckpointError, match=r"has \d+ ids but the model only 60"):
        made(tmp_path)
