"""The train step against torch: gradients, and weights after ten AdamW steps."""

import keras
import numpy as np
import pytest
import torch
from tiny_classifiers import made
from tiny_encoders import save_torch, torch_classifier
from tiny_tasks import tiny_rows
from tiny_tokenizers import save_tokenizer
from transformers import get_cosine_schedule_with_warmup as torch_cosine
from transformers import get_linear_schedule_with_warmup as torch_linear

import kerasft as kft
from kerasft.models import FAMILIES, pretrained

STEPS = 10
EPSILON = 1e-6  # as Google trained BERT; damps the rounding of gradients near 0


def batches_for(model, rows=12, length=15, seed=0):
    """Ten batches of HF-style dicts with uneven lengths, and labels."""
    random = np.random.default_rng(seed)
    for _ in range(STEPS):
        lengths = random.integers(3, length + 1, rows)
        mask = (np.arange(length) < lengths[:, None]).astype("int32")
        ids = random.integers(5, model.config.vocab_size, (rows, length)) * mask
        ids = np.where(mask, ids, model.config.pad_token_id).astype("int32")
        labels = random.integers(0, model.config.num_labels, rows).astype("int32")
        yield {"input_ids": ids, "attention_mask": mask}, labels


def torch_batch(batch, labels):
    batch = {name: torch.tensor(value).long() for name, value in batch.items()}
    return {**batch, "labels": torch.tensor(labels).long()}


def train_torch(model, schedule, decay=0.05, rate=1e-3):
    """Ten steps as `transformers.Trainer` takes them; the losses."""
    model.train()
    plain = [n for n, p in model.named_parameters() if p.ndim == 1]
    groups = [
        {
            "params": [p for n, p in model.named_parameters() if n not in plain],
            "weight_decay": decay,
        },
        {
            "params": [p for n, p in model.named_parameters() if n in plain],
            "weight_decay": 0.0,
        },
    ]
    optimizer = torch.optim.AdamW(groups, lr=rate, eps=EPSILON)
    rates = schedule(optimizer, 2, STEPS)
    losses = []
    for batch, labels in batches_for(model):
        loss = model(**torch_batch(batch, labels)).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 0.5)
        optimizer.step()
        rates.step()
        optimizer.zero_grad()
        losses.append(loss.item())
    return losses


def weights_by_key(task):
    return {
        key: np.array(value)
        for key, value in pretrained.named_tensors(
            task.backbone, "text_classifier", task.head
        )
    }


def still(model_type):
    """A random torch classifier without dropout."""
    names = {
        "albert": ("classifier_dropout_prob",),  # The others are 0 already.
        "distilbert": ("dropout", "attention_dropout", "seq_classif_dropout"),
        "gpt2": ("embd_pdrop", "attn_pdrop", "resid_pdrop"),
        "modernbert": (),
    }.get(model_type, ("hidden_dropout_prob", "attention_probs_dropout_prob"))
    return torch_classifier(model_type, **dict.fromkeys(names, 0.0))


def load(model, folder):
    labels = [f"LABEL_{i}" for i in range(model.config.num_labels)]
    save_tokenizer(folder)
    return kft.TextClassifier.from_pretrained(save_torch(model, folder), labels=labels)


@pytest.mark.parametrize("model_type", FAMILIES)
def test_gradients_of_one_step_equal_torch(model_type, tmp_path):
    model = still(model_type)
    task = load(model, tmp_path)
    batch, labels = next(batches_for(model))
    model.train()
    model(**torch_batch(batch, labels)).loss.backward()
    task.compile(optimizer=keras.optimizers.SGD(1.0))
    before = weights_by_key(task)
    task.train_on_batch(batch, labels)
    after = weights_by_key(task)
    expected = {
        n: p.grad.numpy() for n, p in model.named_parameters() if p.grad is not None
    }
    size = max(np.abs(g).max() for g in expected.values())
    for key, gradient in expected.items():
        np.testing.assert_allclose(before[key] - after[key], gradient, atol=1e-5 * size)


CASES = [(name, "linear", torch_linear) for name in FAMILIES]


@pytest.mark.parametrize(
    "model_type, decay, reference", [*CASES, ("bert", "cosine", torch_cosine)]
)
def test_ten_adamw_steps_equal_torch(model_type, decay, reference, tmp_path):
    model = still(model_type)
    task = load(model, tmp_path)
    start = weights_by_key(task)
    rates = kft.WarmupSchedule(1e-3, STEPS, 0.2, decay)
    task.compile(optimizer=kft.AdamW(rates, 0.05, epsilon=EPSILON, clip_norm=0.5))
    for pair in batches_for(model):
        task.train_on_batch(*pair)
    train_torch(model, reference)
    end = weights_by_key(task)
    apart, moved = {}, {}
    for key, value in model.state_dict().items():
        # A key bias shifts all scores of a query alike: its gradient is 0 but for
        # rounding, which Adam blows up to full steps.
        if key in start and not key.endswith(("key.bias", "k_lin.bias")):
            apart[key] = np.linalg.norm(value.numpy() - end[key])
            moved[key] = np.linalg.norm(value.numpy() - start[key])
    distance = np.linalg.norm(list(moved.values()))
    assert np.linalg.norm(list(apart.values())) <= 1e-4 * distance
    worst = max(moved, key=lambda key: apart[key] / moved[key])
    assert apart[worst] <= 1e-3 * moved[worst], worst
    embeddings = [key for key in moved if "word_embeddings" in key]
    assert all(apart[key] <= 1e-4 * moved[key] for key in embeddings)


def test_micro_batches_change_nothing(tmp_path):
    model = still("bert")
    ends = []
    for parts in (1, 5):
        task = load(model, tmp_path)
        task.compile(optimizer=keras.optimizers.SGD(0.1), micro_batches=parts)
        for pair in batches_for(model):
            loss = task.train_on_batch(*pair)
        ends.append((weights_by_key(task), loss))
    for key, value in ends[0][0].items():
        np.testing.assert_allclose(ends[1][0][key], value, atol=1e-6)
    np.testing.assert_allclose(ends[0][1], ends[1][1], rtol=1e-5)


def test_an_embedding_row_used_twice_gets_the_sum_of_its_gradients(tmp_path):
    model = still("bert")
    task = load(model, tmp_path)
    batch, labels = next(batches_for(model))
    task.compile(optimizer=kft.AdamW(1e-3, 0.0, epsilon=EPSILON, clip_norm=None))
    task.train_on_batch(batch, labels)
    model.train()
    model(**torch_batch(batch, labels)).loss.backward()
    gradient = model.bert.embeddings.word_embeddings.weight.grad.numpy()
    square = next(
        v
        for v in task.optimizer.variables
        if "token_embedding" in v.path and "square" in v.path
    )
    np.testing.assert_allclose(
        np.array(square), 0.001 * gradient**2, rtol=1e-3, atol=1e-12
    )


def test_the_reported_loss_is_the_mean_over_all_items_of_an_epoch(tmp_path):
    model = still("bert")
    task = load(model, tmp_path)
    task.compile()
    batch, labels = next(batches_for(model))
    uneven = [(slice(0, 8), 1.0), (slice(8, 12), 3.0)]

    def data():
        for at, weight in uneven:
            part = {name: value[at] for name, value in batch.items()}
            yield part, labels[at], np.full(len(labels[at]), weight, "float32")

    from tensorflow_or_skip import tf

    spec = ({name: tf.TensorSpec((None, None), "int32") for name in batch},)
    spec += (tf.TensorSpec((None,), "int32"), tf.TensorSpec((None,), "float32"))
    dataset = tf.data.Dataset.from_generator(data, output_signature=spec)
    dataset = dataset.apply(tf.data.experimental.assert_cardinality(2))
    result = task.evaluate(dataset, return_dict=True, verbose=0)
    with torch.no_grad():
        logits = model(**torch_batch(batch, labels)).logits
    each = torch.nn.functional.cross_entropy(
        logits, torch.tensor(labels).long(), reduction="none"
    )
    weights = np.repeat([1.0, 3.0], [8, 4])
    expected = (each.numpy() * weights).sum() / weights.sum()
    np.testing.assert_allclose(result["loss"], expected, rtol=1e-5)


def test_two_passes_without_dropout_are_as_one(folder):
    losses = []
    for alpha in (0.0, 3.0):
        task = made(folder)
        _without_dropout(task)
        task.compile(kft.adamw(1e-3, total_steps=4, warmup=0), rdrop_alpha=alpha)
        batches = task.dataset(tiny_rows(24), 8, training=True)
        logs = task.fit(batches, epochs=1, verbose=0).history
        losses.append((logs["loss"], task.head.weights[0].numpy()))
    np.testing.assert_allclose(losses[0][0], losses[1][0], atol=1e-5)
    np.testing.assert_allclose(losses[0][1], losses[1][1], atol=1e-5)


def test_two_passes_with_dropout_pull_each_other(folder):
    task = made(folder)
    rows = tiny_rows(24)
    task.compile(kft.adamw(1e-3, total_steps=99, warmup=0), rdrop_alpha=1.0)
    plain = task.evaluate(task.dataset(rows), verbose=0)[0]
    assert np.isfinite(plain)
    logs = task.fit(task.dataset(rows, 8, training=True), epochs=4, verbose=0).history
    assert logs["loss"][-1] < logs["loss"][0]


def _without_dropout(task):
    for layer in task._flatten_layers():
        if hasattr(layer, "rate"):
            layer.rate = 0.0
