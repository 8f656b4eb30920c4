"""One of several choices: logits, loss and training, against torch."""

import keras
import numpy as np
import pytest
import torch
from scipy.special import softmax
from tiny_encoders import batch_for, save_torch, torch_model
from tiny_tasks import save_tiny_bert, tiny_choices, tiny_rows
from tiny_tokenizers import save_tokenizer
from transformers import AutoModelForMultipleChoice

import kerasft as kft
from kerasft._errors import DataError, SettingsError
from kerasft.models import FAMILIES

EAGER = {"run_eagerly": True}


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    """Torch's model with all weights random, and its folder."""
    folder = tmp_path_factory.mktemp("choices")
    model = torch_model("bert", AutoModelForMultipleChoice)
    save_tokenizer(save_torch(model, folder))
    return folder, model


@pytest.fixture
def task(shared):
    """The task of the same weights."""
    task = kft.MultipleChoice.from_pretrained(shared[0])
    assert task.fresh_weights == ()
    return task


def same(count=12, choices=3):
    """Rows that all have as many choices."""
    rows = tiny_choices(200)
    kept = [i for i in range(200) if len(rows[i]["choices"]) == choices]
    return rows.select(kept[:count])


def tensors(inputs):
    return {name: torch.tensor(np.array(value)) for name, value in inputs.items()}


@pytest.mark.parametrize(
    "family", [f for f in FAMILIES if kft.MultipleChoice.serves(FAMILIES[f])]
)
def test_logits_of_several_choices_are_torchs(family, tmp_path):
    model = torch_model(family, AutoModelForMultipleChoice)
    save_tokenizer(save_torch(model, tmp_path))
    task = kft.MultipleChoice.from_pretrained(tmp_path)
    batch = batch_for(family)  # Three rows, which become two times three choices.
    several = {
        name: np.stack([value, value[::-1]]).astype("int32")
        for name, value in batch.items()
    }
    with torch.no_grad():
        theirs = model(**tensors(several)).logits.numpy()
    assert theirs.shape == (2, 3)
    np.testing.assert_allclose(task(several), theirs, atol=1e-5)


@pytest.mark.parametrize("family", ["bert", "modernbert"])
def test_an_absent_choice_changes_nothing(family, tmp_path):
    model = torch_model(family, AutoModelForMultipleChoice)
    save_tokenizer(save_torch(model, tmp_path), typed=family == "bert")
    if family == "modernbert":  # The mean of no token is no number.
        model.config.classifier_pooling = "mean"
        save_torch(model, tmp_path)
    task = kft.MultipleChoice.from_pretrained(tmp_path)
    rows = tiny_choices(9)
    counts = [len(rows[i]["choices"]) for i in range(9)]
    assert set(counts) == {2, 3, 4}
    task.compile(keras.optimizers.SGD(0.1), **EAGER)
    told = task.evaluate(task.dataset(rows), verbose=0, return_dict=True)
    logits = task.predict_rows(rows, batch_size=9)
    losses = [
        -np.log(softmax(row.astype("float64"))[rows[i]["label"]])
        for i, row in enumerate(logits)
    ]
    right = [row.argmax() == rows[i]["label"] for i, row in enumerate(logits)]
    assert told["loss"] == pytest.approx(np.mean(losses), rel=1e-4)
    assert told["accuracy"] == pytest.approx(np.mean(right))
    assert [len(row) for row in logits] == counts
    task.fit(task.dataset(rows, training=True), verbose=0)
    for weight in task.weights:
        assert np.isfinite(weight.numpy()).all(), weight.path


def test_loss_and_gradients_are_torchs(shared, task):
    rows = same()
    ((inputs, labels),) = task.dataset(rows)
    for layer in task._flatten_layers():
        if hasattr(layer, "rate"):
            layer.rate = 0.0
    model = shared[1]
    model.zero_grad()
    loss = model(**tensors(inputs), labels=torch.tensor(np.asarray(labels)).long()).loss
    loss.backward()
    before = task.head.logits.kernel.numpy(), task.head.pooler.kernel.numpy()
    task.compile(keras.optimizers.SGD(1.0), **EAGER)
    history = task.fit(task.dataset(rows), verbose=0).history
    assert history["loss"][0] == pytest.approx(loss.item(), rel=1e-5)
    theirs = model.classifier.weight.grad, model.bert.pooler.dense.weight.grad
    after = task.head.logits.kernel.numpy(), task.head.pooler.kernel.numpy()
    for old, new, gradient in zip(before, after, theirs, strict=True):
        np.testing.assert_allclose(old - new, gradient.numpy().T, atol=1e-5)


def test_what_is_saved_is_torchs_model(task, tmp_path):
    task.save_pretrained(tmp_path)
    model, report = AutoModelForMultipleChoice.from_pretrained(
        tmp_path, output_loading_info=True
    )
    assert not report["missing_keys"] and not report["unexpected_keys"]
    ((inputs, _),) = task.dataset(same())
    with torch.no_grad():
        theirs = model.eval()(**tensors(inputs)).logits.numpy()
    np.testing.assert_allclose(task(inputs), theirs, atol=1e-5)
    fresh = kft.MultipleChoice.from_pretrained(tmp_path, new_head=True)
    assert set(fresh.fresh_weights) == {"logits/kernel", "logits/bias"}


def test_predictions_are_probabilities_over_the_choices(task):
    rows = tiny_choices(7)
    told = task.predict_text([rows[i] for i in range(7)])
    logits = task.predict_rows(rows, batch_size=2)
    for i, row in enumerate(logits):
        best = int(row.argmax())
        assert told[i] == {
            "choice": rows[i]["choices"][best],
            "index": best,
            "score": pytest.approx(softmax(row)[best], abs=1e-5),
            "scores": pytest.approx(softmax(row), abs=1e-5),
        }
    asked = {"context": "a film", "choices": ["good", "bad"]}
    plain, with_question = task.predict_text([asked, asked | {"question": "very"}])
    assert plain["scores"] != pytest.approx(with_question["scores"])
    assert task.predict_text([]) == []


@pytest.mark.parametrize(
    "texts, error, message",
    [
        ({"context": "a", "choices": ["b", "c"]}, SettingsError, "takes a list"),
        ([{"context": "a"}], DataError, r"choices\[0\].*key 'choices'"),
        ([{"context": "a", "choices": ["b"]}], DataError, "two texts"),
        (["a"], DataError, "expected a dict"),
    ],
)
def test_choices_of_another_form_are_refused(task, texts, error, message):
    with pytest.raises(error, match=message):
        task.predict_text(texts)


def test_rows_of_another_kind_are_refused(task):
    for method in (task.dataset, task.predict_rows, task.label_array):
        with pytest.raises(DataError, match="read_choices_jsonl"):
            method(tiny_rows(3))


def test_batches_keep_to_their_tokens_with_all_choices(task):
    rows = tiny_choices(30)
    data = task.dataset(rows, 32, training=True, tokens_per_batch=300, weights=[1] * 30)
    shapes = [inputs["input_ids"].shape for inputs, *_ in data]
    assert max(np.prod(shape) for shape in shapes) <= 300
    assert sum(shape[0] for shape in shapes) == 30
    assert {shape[1] for shape in shapes} == {4}
    data.batches.epoch = 0
    real = sum(int(np.sum(inputs["attention_mask"])) for inputs, *_ in data)
    places = sum(np.prod(shape) for shape in shapes)
    data.batches.epoch = 0
    assert data.batches.padding_share == pytest.approx(1 - real / places)
    with pytest.raises(SettingsError, match="longest example has"):
        task.dataset(rows, training=True, tokens_per_batch=60)


def test_a_tiny_model_learns_which_choice_is_right(tmp_path):
    keras.utils.set_random_seed(0)
    still = {"hidden_dropout": 0.0, "attention_dropout": 0.0}
    save_tiny_bert(tmp_path, num_layers=1, initializer_range=0.1, **still)
    task = kft.MultipleChoice.from_pretrained(tmp_path)
    data = task.dataset(tiny_choices(60), 20, training=True, max_shapes=1)
    task.compile(kft.adamw(5e-3, total_steps=40 * len(data), warmup=0.1))
    task.fit(data, epochs=40, verbose=0)
    new = task.evaluate(task.dataset(tiny_choices(40, seed=1)), verbose=0)
    assert new[1] > 0.9
