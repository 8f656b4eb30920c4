"""A real checkpoint, MiniLM-L6, on real texts: all that is promised, against torch."""

import keras
import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose
from tiny_encoders import load_classifier
from transformers import (
    AutoModel,
    AutoModelForSequenceClassification,
    AutoTokenizer,
    get_linear_schedule_with_warmup,
)

import kerasft as kft
from kerasft.models import Backbone, pretrained

LABELS = ("business", "entertainment", "politics", "sport", "tech")
STEPS, RATE, DECAY, CLIP = 10, 5e-5, 0.01, 1.0
EXACT = {"rtol": 0, "atol": 1e-5}


@pytest.fixture(scope="module")
def texts(vader_texts):
    return vader_texts[::40][:320]


def still_torch(folder):
    """torch's classifier on MiniLM, without dropout, its new head far from zero."""
    torch.manual_seed(0)
    model = AutoModelForSequenceClassification.from_pretrained(
        folder,
        id2label=dict(enumerate(LABELS)),
        label2id={label: i for i, label in enumerate(LABELS)},
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
    )
    torch.nn.init.normal_(model.classifier.weight, 0.0, 0.3)
    return model


@pytest.fixture
def pair(minilm, tmp_path):
    """torch's classifier, its tokenizer, and ours read from torch's folder."""
    model = still_torch(minilm)
    tokenizer = AutoTokenizer.from_pretrained(minilm)
    model.save_pretrained(tmp_path / "torch")
    tokenizer.save_pretrained(tmp_path / "torch")
    task = kft.TextClassifier.from_pretrained(tmp_path / "torch")
    assert (task.labels, task.fresh_weights) == (LABELS, ())
    return model, tokenizer, task


def encoded(tokenizer, texts):
    return {**tokenizer(texts, padding=True, truncation=True, return_tensors="pt")}


def weights_of(task):
    return dict(pretrained.named_tensors(task.backbone, task.head_name, task.head))


def scored(keys):
    """All but the key biases: nothing depends on them, their gradient is rounding."""
    return [key for key in keys if not key.endswith("key.bias")]


def torch_logits(model, tokenizer, texts):
    with torch.no_grad():
        return model.eval()(**encoded(tokenizer, texts)).logits.numpy()


def test_hidden_states_equal_torch(minilm, texts):
    inputs = encoded(AutoTokenizer.from_pretrained(minilm), texts)
    with torch.no_grad():
        expected = AutoModel.from_pretrained(minilm)(**inputs).last_hidden_state
    states = Backbone.from_pretrained(minilm)({k: v.numpy() for k, v in inputs.items()})
    real = inputs["attention_mask"].numpy() == 1
    assert_allclose(np.asarray(states)[real], expected.numpy()[real], **EXACT)


def test_ids_and_logits_of_real_texts_equal_torch(pair, texts):
    model, tokenizer, task = pair
    expected = tokenizer(texts)["input_ids"]
    examples = task.tokenizer.encode(texts)
    assert examples.ids.tolist() == [i for ids in expected for i in ids]
    found = task.predict_rows(kft.from_lists(texts))
    assert_allclose(found, torch_logits(model, tokenizer, texts), **EXACT)


def test_torch_gives_our_saved_classifier_its_logits(minilm, texts, tmp_path):
    keras.utils.set_random_seed(0)
    task = kft.TextClassifier.from_pretrained(minilm, labels=LABELS)
    assert set(task.fresh_weights) == {"logits/kernel", "logits/bias"}
    task.save_pretrained(tmp_path / "ours")
    model = AutoModelForSequenceClassification.from_pretrained(tmp_path / "ours")
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "ours")
    expected = torch_logits(model, tokenizer, texts)
    assert_allclose(task.predict_rows(kft.from_lists(texts)), expected, **EXACT)


def test_its_pooler_goes_to_a_classifier_and_nothing_is_left_unread(minilm):
    _, _, report = load_classifier(minilm, 4)
    assert set(report.fresh) == {"logits/kernel", "logits/bias"}
    assert set(report.ignored) <= {"embeddings.position_ids"}


def test_gradients_of_one_step_equal_torch(pair, texts):
    model, tokenizer, task = pair
    inputs, labels = encoded(tokenizer, texts[:16]), np.arange(16) % 5
    model(**inputs, labels=torch.tensor(labels)).loss.backward()
    task.compile(keras.optimizers.SGD(1.0))
    before = weights_of(task)
    task.train_on_batch({k: v.numpy() for k, v in inputs.items()}, labels)
    after = weights_of(task)
    gradients = {key: p.grad.numpy() for key, p in model.named_parameters()}
    for key in scored(gradients):
        gradient = gradients[key]
        # Weights near 1 hold the difference to about 6e-8.
        error = np.linalg.norm(before[key] - after[key] - gradient)
        rounding = 6e-8 * np.linalg.norm(before[key])
        assert error <= 1e-5 * np.linalg.norm(gradient) + rounding, key


def trained_torch(model, batches):
    """Ten steps of AdamW: decay but on biases and norms, clipping, warm-up."""
    model.train()
    groups = {True: [], False: []}
    for name, parameter in model.named_parameters():
        groups["bias" not in name and "LayerNorm" not in name].append(parameter)
    optimizer = torch.optim.AdamW(
        [
            {"params": groups[True], "weight_decay": DECAY},
            {"params": groups[False], "weight_decay": 0.0},
        ],
        lr=RATE,
    )
    rates = get_linear_schedule_with_warmup(optimizer, 1, STEPS)
    for inputs, labels in batches:
        model(**inputs, labels=torch.tensor(labels)).loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), CLIP)
        optimizer.step()
        rates.step()
        optimizer.zero_grad()
    return {key: value.numpy() for key, value in model.state_dict().items()}


def test_ten_adamw_steps_equal_torch(pair, texts):
    model, tokenizer, task = pair
    batches = [
        (encoded(tokenizer, texts[i : i + 32]), np.arange(32) % 5)
        for i in range(0, 320, 32)
    ]
    start = weights_of(task)
    task.compile(kft.adamw(RATE, total_steps=STEPS, warmup=0.1, weight_decay=DECAY))
    for inputs, labels in batches:
        task.train_on_batch({k: v.numpy() for k, v in inputs.items()}, labels)
    expected, end = trained_torch(model, batches), weights_of(task)
    keys = scored(start)
    moved = {key: np.linalg.norm(expected[key] - start[key]) for key in keys}
    apart = {key: np.linalg.norm(expected[key] - end[key]) for key in keys}
    distance = np.linalg.norm(list(moved.values()))
    assert np.linalg.norm(list(apart.values())) <= 1e-4 * distance
    (embedding,) = (key for key in keys if "word_embeddings" in key)
    assert apart[embedding] <= 1e-4 * moved[embedding]
