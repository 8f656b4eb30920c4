"""Tasks in `.keras` files: the same answers, adapters in place, training goes on."""

import keras
import numpy as np
import pytest
from numpy.testing import assert_allclose
from tiny_tasks import LABELS, TAGS, save_tiny_bert, tiny_rows

import kerasft as kft

ROWS = tiny_rows(21)
BERT = {"model_type": "bert", "hidden_size": 16, "num_hidden_layers": 1}
BERT |= {"num_attention_heads": 2, "intermediate_size": 32}
BERT |= {"max_position_embeddings": 32}
GPT2 = {"model_type": "gpt2", "n_embd": 16, "n_layer": 1, "n_head": 2}
GPT2 |= {"n_positions": 32}


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    keras.utils.set_random_seed(0)
    return save_tiny_bert(tmp_path_factory.mktemp("base"), num_layers=1)


def logits_of(task):
    inputs, _ = next(iter(task.dataset(ROWS, 21)))
    return np.asarray(task(inputs))


def reloaded(task, folder):
    task.save(folder / "task.keras")
    return keras.saving.load_model(folder / "task.keras")


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        (kft.TextClassifier, {"labels": LABELS}),
        (kft.TextClassifier, {"labels": ("score",), "problem": "regression"}),
        (kft.TokenClassifier, {"labels": TAGS, "scheme": "IOB2", "crf": True}),
        (kft.TokenClassifier, {"labels": TAGS}),
        (kft.QuestionAnswerer, {}),
    ],
)
def test_a_task_comes_back_with_labels_tokenizer_and_weights(
    base, tmp_path, kind, options
):
    task = kind.from_pretrained(base, max_length=20, **options)
    again = reloaded(task, tmp_path)
    assert type(again) is kind
    assert getattr(again, "labels", None) == getattr(task, "labels", None)
    assert again.tokenizer.max_length == 20
    inputs = {"input_ids": np.arange(5, 25).reshape(2, 10)}
    assert_allclose(np.asarray(again(inputs)), np.asarray(task(inputs)), atol=1e-6)
    weights = zip(task.weights, again.weights, strict=True)
    assert all((a.numpy() == b.numpy()).all() for a, b in weights)


@pytest.mark.parametrize("mode", [None, "int8"])
def test_an_adapter_stands_where_it_stood_and_goes_on_moving(base, tmp_path, mode):
    task = kft.TextClassifier.from_pretrained(base, labels=LABELS)
    if mode:
        task.quantize_base(mode)
    task.add_adapter(kft.LoRA(rank=2, targets=("query", "up_proj")), "mine")
    rates = {"learning_rate": 1e-2, "total_steps": 20}
    task.compile(kft.adamw(**rates), run_eagerly=True)
    for batch in task.dataset(ROWS, 8):
        task.train_on_batch(*batch)
    again = reloaded(task, tmp_path)
    assert again.active_adapter == "mine"
    assert_allclose(logits_of(again), logits_of(task), atol=1e-6)
    before = [weight.numpy() for weight in again.trainable_variables]
    again.compile(kft.adamw(**rates), run_eagerly=True)
    for batch in again.dataset(ROWS, 8):
        again.train_on_batch(*batch)
    after = [weight.numpy() for weight in again.trainable_variables]
    assert len(before) == 4 + 4
    assert all((a != b).any() for a, b in zip(before, after, strict=True))


@pytest.mark.parametrize("kind", [kft.MaskedLM, kft.CausalLM, kft.Pretraining])
def test_a_model_begun_from_nothing_comes_back(kind, base, tmp_path):
    config = BERT if kind is not kft.CausalLM else GPT2
    task = kind.from_scratch(config, base, max_length=20)
    again = reloaded(task, tmp_path)
    inputs = {"input_ids": np.arange(5, 25).reshape(2, 10)}
    pairs = zip(*(keras.tree.flatten(t(inputs)) for t in (task, again)), strict=True)
    for ours, theirs in pairs:
        assert_allclose(np.asarray(theirs), np.asarray(ours), atol=1e-6)
    assert again.tokenizer.max_length == 20


def test_where_a_text_ends_comes_back(base, tmp_path):
    folder = save_tiny_bert(tmp_path / "gpt2", "gpt2")
    (folder / "generation_config.json").write_text('{"eos_token_id": 7}')
    again = reloaded(kft.CausalLM.from_pretrained(folder), tmp_path)
    assert again.generation_config == {"eos_token_id": 7}


@pytest.mark.parametrize("kind", [kft.TextEmbedder, kft.FewShotClassifier])
def test_how_vectors_are_made_comes_back(kind, base, tmp_path):
    options = {"labels": LABELS} if kind is kft.FewShotClassifier else {}
    task = kind.from_pretrained(base, pooling="max", normalise=True, **options)
    task.prompts["query"] = "query: "
    again = reloaded(task, tmp_path)
    head = getattr(again.head, "pooling", None)
    head = again.head if isinstance(head, str) else head
    assert (head.pooling, head.normalise) == ("max", True)
    assert again.prompts == {"query": "query: "}
    ours, theirs = task.predict_rows(ROWS), again.predict_rows(ROWS)
    assert_allclose(theirs, ours, atol=1e-6)


def test_a_generator_of_its_own_size_comes_back(tmp_path):
    folder = save_tiny_bert(tmp_path / "electra", "electra")
    first = kft.ReplacedTokenDetection.from_pretrained(folder, generator_share=0.5)
    first.save_pretrained(tmp_path / "both")
    task = kft.ReplacedTokenDetection.from_pretrained(tmp_path / "both")
    again = reloaded(task, tmp_path)
    assert again.generator.backbone.config == task.generator.backbone.config
    weights = zip(task.generator.weights, again.generator.weights, strict=True)
    assert all((a.numpy() == b.numpy()).all() for a, b in weights)


def test_a_task_without_such_a_file_says_what_to_do(base, tmp_path):
    made = kft.TextClassifier.from_pretrained(base, labels=LABELS)
    task = kft.TextClassifier(
        made.backbone, made.head, made.tokenizer, LABELS, "single_label"
    )
    with pytest.raises(kft.KerasftError, match="save_pretrained"):
        task.save(tmp_path / "task.keras")
