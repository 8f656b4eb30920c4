"""Prefixes and prompts in training and serving: steps, lengths, packed rows, files."""

import json

import keras
import numpy as np
import pytest
import torch
from byte_tokenizers import SPECIAL, byte_level
from numpy.testing import assert_allclose
from tensorflow_or_skip import tf
from tiny_decoders import DECODERS
from tiny_encoders import EXACT, batch_for, new_backbone
from tiny_prompts import (
    COUNT,
    loaded,
    ours_of,
    peft_model,
    saved_base,
    tensors_of,
    torch_logits,
    vectors_of,
)
from tiny_tasks import LABELS, save_tiny_bert, tiny_rows

import kerasft as kft
from kerasft._errors import CheckpointError, DataError, SettingsError
from kerasft.layers.packing import packed_tokens
from kerasft.peft.places import layers_below
from kerasft.tasks import exporting

NO_DROPOUT = {
    "bert": {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0},
    "gpt2": {"resid_pdrop": 0.0, "embd_pdrop": 0.0, "attn_pdrop": 0.0},
    "llama": {},
}
RATE = 0.05
EAGER = {"run_eagerly": True}  # Tracing takes longer than these few steps.


@pytest.fixture(scope="module")
def bases(tmp_path_factory):
    """Model type -> folder of a random model without dropout."""
    known = {}

    def base(model_type, task_type="SEQ_CLS"):
        key = model_type, task_type
        if key not in known:
            folder = tmp_path_factory.mktemp(f"{model_type}_{task_type}")
            more = NO_DROPOUT.get(model_type, {})
            known[key] = saved_base(folder, model_type, task_type, **more)
        return known[key]

    return base


def rows_for(model_type, kind):
    """A batch and its labels; without padding where torch would read that."""
    batch, labels = batch_for(model_type), np.array([2, 0, 1], "int32")
    if model_type in DECODERS and kind != "prefix":
        batch = {name: np.tile(rows[:1], (3, 1)) for name, rows in batch.items()}
        batch["input_ids"] = (batch["input_ids"] + np.array([[0], [1], [2]])) % 90 + 5
    return batch, labels


def torch_steps(model, batch, labels, steps=3):
    trained = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.SGD(trained, RATE)
    tensors = {key: torch.tensor(value) for key, value in batch.items()}
    for _ in range(steps):
        optimizer.zero_grad()
        logits = model(**tensors).logits
        loss = torch.nn.functional.cross_entropy(logits, torch.tensor(labels).long())
        loss.backward()
        optimizer.step()


def our_steps(task, batch, labels, steps=3):
    task.compile(keras.optimizers.SGD(RATE), metrics=[], **EAGER)
    task.fit(batch, labels, batch_size=3, epochs=steps, verbose=0)


def take_encoder(task, model):
    """Give our network the weights of peft's, and the head's."""
    layer = task.working_adapter.parts[0].layer
    theirs = model.prompt_encoder["default"]
    array = lambda tensor: tensor.detach().numpy()  # noqa: E731
    layer.embedding.assign(array(theirs.embedding.weight))
    perceptron = layer.encoder
    if hasattr(theirs, "lstm_head"):
        perceptron = layer.encoder.last
        for i in range(2):
            for end, name in (("", f"lstm_{i}"), ("_reverse", f"lstm_{i}_back")):
                cell = getattr(layer.encoder, name).cell
                part = {
                    kind: array(getattr(theirs.lstm_head, f"{kind}_l{i}{end}"))
                    for kind in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
                }
                cell.kernel.assign(part["weight_ih"].T)
                cell.recurrent_kernel.assign(part["weight_hh"].T)
                cell.bias.assign(part["bias_ih"] + part["bias_hh"])
    linear = theirs.transform if hasattr(theirs, "transform") else theirs.mlp_head
    for i, dense in enumerate(m for m in linear if hasattr(m, "weight")):
        ours = getattr(perceptron, f"dense_{i}")
        ours.kernel.assign(array(dense.weight).T)
        ours.bias.assign(array(dense.bias))


@pytest.mark.parametrize("kind", ["prefix", "projection", "random", "mlp"])
@pytest.mark.parametrize("model_type", ["bert", "gpt2", "llama"])
def test_three_steps_equal_torch_s(model_type, kind, bases, tmp_path):
    base, (batch, labels) = bases(model_type), rows_for(model_type, kind)
    theirs = peft_model(base, kind, noise=0)
    theirs.save_pretrained(tmp_path / "start")
    task = loaded(base)
    if kind in ("projection", "mlp"):
        task.add_adapter(ours_of(kind))
        take_encoder(task, theirs)
    else:
        task.load_adapter(tmp_path / "start")
    torch_steps(theirs, batch, labels)
    our_steps(task, batch, labels)
    theirs.save_pretrained(tmp_path / "theirs")
    task.save_adapter(tmp_path / "ours")
    start, expected, found = (
        tensors_of(tmp_path / name) for name in ("start", "theirs", "ours")
    )
    assert expected.keys() == found.keys()
    for key in expected:
        assert_allclose(found[key], expected[key], **EXACT)
        assert np.abs(found[key] - start[key]).max() > 1e-4


@pytest.mark.parametrize("kind", ["projection", "mlp", "lstm"])
def test_a_network_makes_what_torch_s_makes(kind, bases):
    theirs, task = peft_model(bases("bert"), kind), loaded(bases("bert"))
    task.add_adapter(ours_of(kind))
    take_encoder(task, theirs)
    expected = theirs.get_prompt_embedding_to_save("default").detach().numpy()
    assert_allclose(vectors_of(task), expected, **EXACT)


@pytest.mark.parametrize("kind", ["projection", "lstm"])
def test_vectors_that_are_read_are_what_a_network_goes_on_from(kind, bases):
    task, (batch, labels) = loaded(bases("bert")), rows_for("bert", kind)
    task.add_adapter(ours_of(kind))
    layer = task.working_adapter.parts[0].layer
    wanted = np.random.default_rng(0).normal(size=(layer.count, layer.width))
    for _ in range(2):  # What was read before is no part of what comes now.
        layer.set_vectors(wanted.astype("float32"))
        assert_allclose(vectors_of(task), wanted, rtol=0, atol=1e-6)
    our_steps(task, batch, labels, 1)
    assert np.abs(vectors_of(task) - wanted).max() > 1e-5


@pytest.mark.parametrize(
    "kind", ["prefix", "random", pytest.param("lstm", marks=pytest.mark.slow)]
)
def test_a_fit_moves_only_the_virtual_tokens_and_the_head(kind, tmp_path):
    keras.utils.set_random_seed(0)
    save_tiny_bert(tmp_path, num_layers=1)
    task = kft.TextClassifier.from_pretrained(tmp_path, LABELS)
    before = {w.path: w.numpy() for w in task.backbone.weights}
    head = task.head.logits.kernel.numpy()
    task.add_adapter(ours_of(kind))
    layer = task.working_adapter.parts[0].layer
    started = {w.path: w.numpy() for w in layer.trainable_weights}
    task.compile(kft.adamw(1e-2, total_steps=9, warmup=0))
    batches = task.dataset(tiny_rows(24), batch_size=8, training=True)
    task.fit(batches, epochs=2, verbose=0)
    for weight in task.backbone.weights:
        if keras.backend.is_float_dtype(weight.dtype):
            assert_allclose(weight.numpy(), before[weight.path], rtol=0, atol=0)
    for weight in layer.trainable_weights:
        assert np.abs(weight.numpy() - started[weight.path]).max() > 0
    assert np.abs(task.head.logits.kernel.numpy() - head).max() > 0
    saved = 4 * (
        vectors_of(task).size
        + sum(w.shape.num_elements() for w in task.head.trainable_weights)
    )
    assert task.adapter_shares.adapter_bytes == saved


def test_cls_reads_the_text_s_own_first_token(bases, tmp_path):
    base, batch = bases("bert"), batch_for("bert")
    theirs = peft_model(base, "random")
    theirs.save_pretrained(tmp_path / "theirs")
    task = loaded(base)
    task.add_adapter(kft.PromptTuning(num_virtual_tokens=COUNT, pool="cls"))
    layer = task.working_adapter.parts[0].layer
    layer.set_vectors(
        theirs.prompt_encoder["default"].embedding.weight.detach().numpy()
    )
    for name in ("classifier.weight", "classifier.bias"):
        tensor = tensors_of(tmp_path / "theirs")[f"base_model.{name}"]
        own = task.head.logits.kernel if "weight" in name else task.head.logits.bias
        own.assign(tensor.T)
    found = np.asarray(task(batch))
    assert np.abs(found - torch_logits(theirs, batch)).max() > 1e-3
    states = []
    keep = theirs.base_model.bert.encoder.register_forward_hook(
        lambda *told: states.append(told[-1][0])
    )
    torch_logits(theirs, batch)
    keep.remove()
    model = theirs.base_model
    with torch.no_grad():
        pooled = model.bert.pooler(states[0][:, COUNT:])
        expected = model.classifier(pooled).numpy()
    assert_allclose(found, expected, **EXACT)
    task.save_adapter(tmp_path / "ours")
    again = loaded(base)
    again.load_adapter(tmp_path / "ours")
    assert_allclose(again(batch), found, rtol=0, atol=1e-6)


@pytest.mark.parametrize("pooling", ["cls", "mean"])
def test_modernbert_pools_a_prompt_as_peft_does(pooling, tmp_path):
    base, batch = tmp_path / "base", batch_for("modernbert")
    base.mkdir()
    saved_base(base, "modernbert", classifier_pooling=pooling)
    theirs = peft_model(base, "random")
    theirs.save_pretrained(tmp_path / "adapter")
    task = loaded(base)
    task.load_adapter(tmp_path / "adapter")
    assert_allclose(task(batch), torch_logits(theirs, batch), **EXACT)


# --- lengths


def test_texts_are_cut_to_the_positions_that_are_left(bases):
    task = loaded(bases("bert"))
    rows = kft.from_lists(["a " * 60], ["LABEL_0"])
    longest = task.tokenizer.max_length
    long = task.dataset(rows)
    task.add_adapter(ours_of("prefix"))
    assert task.tokenizer.max_length == longest - COUNT
    assert task.predict_rows(rows).shape == (1, 3)
    task.compile(**EAGER)
    with pytest.raises(SettingsError, match="Call dataset\\(\\) again"):
        task.fit(long)
    with pytest.raises(DataError, match="35 positions"):
        task({"input_ids": np.ones((1, 36), "int32")})
    with task.without_adapter():
        assert task.tokenizer.max_length == longest
    assert task.tokenizer.max_length == longest - COUNT
    task.delete_adapter()
    assert task.tokenizer.max_length == longest
    with pytest.raises(SettingsError, match="35 at most"):
        task.add_adapter(kft.PromptTuning(num_virtual_tokens=36))
    assert task.adapters == ()


def test_texts_of_turned_positions_and_short_ones_are_not_cut(bases):
    task = loaded(bases("llama"))
    longest = task.tokenizer.max_length
    task.add_adapter(ours_of("random"))
    assert task.tokenizer.max_length == longest
    short = kft.TextClassifier.from_pretrained(bases("bert"), max_length=20)
    short.add_adapter(ours_of("prefix"))
    assert short.tokenizer.max_length == 20


# --- packed rows


def packed_row(first, second):
    """Two texts in one row, and where each lies."""
    lengths = len(first), len(second)
    return {
        "input_ids": np.array([first + second], "int32"),
        "attention_mask": np.ones((1, sum(lengths)), "int32"),
        "sequence_ids": np.repeat([1, 2], lengths)[None].astype("int32"),
        "position_ids": np.concatenate(list(map(np.arange, lengths)))[None],
    }


@pytest.mark.parametrize("kind", ["prefix", "random"])
@pytest.mark.parametrize("model_type", ["gpt2", "mistral"])
def test_packed_texts_see_virtual_tokens_and_not_one_another(model_type, kind, bases):
    task = loaded(bases(model_type, "CAUSAL_LM"), "CAUSAL_LM")
    task.add_adapter(ours_of(kind))
    texts = [list(range(10, 19)), list(range(40, 52))]
    together = np.asarray(task(packed_row(*texts)))[0]
    apart = [np.asarray(task({"input_ids": np.array([text])}))[0] for text in texts]
    assert_allclose(together, np.concatenate(apart), **EXACT)


def test_packed_texts_of_an_encoder_take_a_prefix_and_no_prompt(bases):
    task = loaded(bases("bert", "TOKEN_CLS"), "TOKEN_CLS")
    task.add_adapter(ours_of("prefix"))
    texts = [list(range(10, 19)), list(range(40, 52))]
    together = np.asarray(task(packed_row(*texts)))[0]
    apart = [np.asarray(task({"input_ids": np.array([text])}))[0] for text in texts]
    assert_allclose(together, np.concatenate(apart), **EXACT)
    task.add_adapter(ours_of("random"), "prompt")
    with pytest.raises(DataError, match="share one prompt"):
        task(packed_row(*texts))


@pytest.mark.parametrize("kind", ["prefix", "random"])
@pytest.mark.parametrize("model_type", ["bert", "gpt2"])
def test_work_on_tokens_alone_gives_the_same(model_type, kind, bases):
    task, batch = loaded(bases(model_type)), batch_for(model_type)
    task.add_adapter(ours_of(kind))
    expected = np.asarray(task(batch))
    with packed_tokens():
        assert_allclose(task(batch), expected, **EXACT)


@pytest.mark.parametrize("kind", ["prefix", "projection", "random", "lstm"])
def test_half_precision_is_near(kind, bases, tmp_path):
    exact, batch = loaded(bases("bert")), batch_for("bert")
    exact.add_adapter(ours_of(kind))
    exact.save_adapter(tmp_path)
    half = kft.TextClassifier.from_pretrained(bases("bert"), precision="mixed_bfloat16")
    half.add_adapter(ours_of(kind))  # Traces the network, too.
    assert np.isfinite(np.asarray(half(batch), "float32")).all()
    half.load_adapter(tmp_path, "read")
    found = np.asarray(half(batch), "float32")
    assert_allclose(found, exact(batch), rtol=0, atol=5e-2)


# --- exports


@pytest.mark.parametrize(
    "kind", ["prefix", pytest.param("lstm", marks=pytest.mark.slow)]
)
def test_a_served_classifier_gives_what_it_gives_in_memory(
    kind, bases, tmp_path, monkeypatch
):
    monkeypatch.setattr(exporting, "VERIFIED_FUZZ", 50)
    task = loaded(bases("bert"))
    task.add_adapter(ours_of(kind))
    task.export(tmp_path / "served")
    texts = tiny_rows(9).texts()
    served = tf.saved_model.load(str(tmp_path / "served")).signatures
    found = served["serving_default"](text=tf.constant(texts))["probabilities"]
    expected = task.probabilities(task.predict_rows(kft.from_lists(texts)))
    assert_allclose(found, expected, **EXACT)
    too_long = {
        name: tf.ones((1, 36), tf.int32)
        for name in ("input_ids", "attention_mask", "token_type_ids")
    }
    with pytest.raises(tf.errors.InvalidArgumentError, match="more than the 35"):
        served["tokens"](**too_long)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["prefix", "random"])
def test_a_served_language_model_writes_what_it_writes_in_memory(
    kind, tmp_path, monkeypatch
):
    monkeypatch.setattr(exporting, "VERIFIED_FUZZ", 50)
    own = byte_level("gpt2")
    end = own.token_to_id(SPECIAL["gpt2"][-1])
    keras.utils.set_random_seed(0)
    size = {"vocab_size": own.get_vocab_size(), "initializer_range": 0.3}
    new_backbone("gpt2", **size, extra={"eos_token_id": end}).save_pretrained(tmp_path)
    own.save(str(tmp_path / "tokenizer.json"))
    task = kft.CausalLM.from_pretrained(tmp_path)
    task.add_adapter(ours_of(kind))
    task.export(tmp_path / "served", max_new_tokens=6)  # Refuses what differs.
    served = tf.saved_model.load(str(tmp_path / "served")).signatures
    prompts = ["it's a", "the film was"]
    found = served["serving_default"](text=tf.constant(prompts))["text"].numpy()
    expected = task.generate(prompts, max_new_tokens=6)
    assert [text.decode() for text in found] == expected


# --- refusals


@pytest.mark.parametrize(
    "model_type, why",
    [("albert", "one block"), ("deberta-v2", "distances"), ("modernbert", "window")],
)
def test_a_model_without_places_for_a_prefix_refuses_it(model_type, why, bases):
    task = loaded(bases(model_type))
    with pytest.raises(SettingsError, match=f"{why}.*PromptTuning or LoRA"):
        task.add_adapter(ours_of("prefix"))
    assert task.adapters == ()


@pytest.mark.parametrize("kind", ["prefix", "random"])
def test_virtual_tokens_cannot_be_merged(kind, bases, tmp_path):
    task = loaded(bases("bert"))
    task.add_adapter(ours_of(kind))
    for wish in (task.merge_adapter, lambda: task.save_pretrained(tmp_path)):
        with pytest.raises(SettingsError, match="cannot be merged"):
            wish()


@pytest.mark.parametrize(
    "settings, found",
    [
        ({"num_virtual_tokens": 0}, "num_virtual_tokens is 0"),
        ({"init": "text"}, "needs text"),
        ({"text": "x"}, "no other init takes any"),
        ({"init": "words"}, "known: random, vocabulary, text"),
        ({"pool": "last"}, "known: first, cls"),
    ],
)
def test_settings_that_cannot_be_are_told(settings, found):
    with pytest.raises(SettingsError, match=found):
        kft.PromptTuning(**settings)


@pytest.mark.parametrize(
    "field, value, found",
    [
        ("num_transformer_submodules", 2, "encoder and decoder"),
        ("num_virtual_tokens", "many", "expected a whole number"),
        ("num_virtual_tokens", 6, r"has shape \(5, 32\), expected \(6, 32\)"),
    ],
)
def test_a_file_that_does_not_fit_is_refused(field, value, found, bases, tmp_path):
    task = loaded(bases("bert"))
    task.add_adapter(ours_of("random"))
    task.save_adapter(tmp_path)
    config = json.loads((tmp_path / "adapter_config.json").read_text())
    (tmp_path / "adapter_config.json").write_text(json.dumps({**config, field: value}))
    again = loaded(bases("bert"))
    with pytest.raises(CheckpointError, match=found):
        again.load_adapter(tmp_path)
    assert again.adapters == ()


def test_a_prefix_is_no_part_of_the_backbone(bases):
    task = loaded(bases("bert"))
    paths = [path for path, _ in layers_below(task.backbone)]
    task.add_adapter(ours_of("prefix"))
    assert [path for path, _ in layers_below(task.backbone)] == paths
