"""Causal language models: losses by torch, packing, conversations, likelihoods."""

import json

import keras
import numpy as np
import pytest
import torch
from tiny_decoders import DECODERS, saved_decoder
from tiny_encoders import EXACT, new_backbone
from tiny_tasks import LABELS, tiny_documents, tiny_rows
from tiny_tokenizers import save_tokenizer
from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification

import kerasft as kft
from kerasft._errors import CheckpointError

# One of each kind; the others are alike but for numbers.
FEW = [
    pytest.param(name, marks=() if name in ("gpt2", "qwen3") else pytest.mark.slow)
    for name in DECODERS
]
TALK = [
    {"role": "user", "content": "a film"},
    {"role": "assistant", "content": "a great good film"},
    {"role": "user", "content": "the plot"},
    {"role": "assistant", "content": "boring"},
]


@pytest.fixture(scope="module")
def decoder(tmp_path_factory):
    """Torch's model and our task, with a chat template of the plain kind."""
    folder = tmp_path_factory.mktemp("gpt2")
    model, _ = saved_decoder(folder)
    about = json.loads((folder / "tokenizer_config.json").read_text())
    about["eos_token"] = "[SEP]"
    (folder / "tokenizer_config.json").write_text(json.dumps(about))
    return model, kft.CausalLM.from_pretrained(folder)


def of_torch(model, ids):
    """Log-likelihood of each token but the first, of one text."""
    ids = torch.tensor([ids])
    with torch.no_grad():
        logs = torch.log_softmax(model(ids).logits[0], -1)
    return logs[:-1].gather(-1, ids[0, 1:, None])[:, 0].numpy()


def ids_of(task, text):
    return task.tokenizer.backend.encode(text).ids


@pytest.mark.parametrize("name", DECODERS)
def test_the_loss_is_torchs(name, tmp_path):
    model, task = saved_decoder(tmp_path, name)
    task.pack = False
    rows = tiny_documents(5)
    task.compile()
    loss = task.evaluate(task.dataset(rows), verbose=0, return_dict=True)
    logs = [of_torch(model, ids_of(task, text)[:40]) for text in rows.texts()]
    expected = -np.concatenate(logs).mean()
    assert loss["loss"] == pytest.approx(expected, abs=1e-5)
    assert loss["perplexity"] == pytest.approx(np.exp(expected), rel=1e-5)


@pytest.mark.parametrize("name", FEW)
def test_each_token_of_packed_texts_is_predicted_once(name, tmp_path):
    _, task = saved_decoder(tmp_path, name)
    rows = tiny_rows(30)  # Short ones, many in a row.
    labels = [np.asarray(labels).ravel() for _, labels in task.dataset(rows)]
    labels = np.concatenate(labels)
    expected = [i for text in rows.texts() for i in ids_of(task, text)[1:]]
    assert labels[labels != -100].tolist() == expected


@pytest.mark.parametrize("name", FEW)
def test_packed_texts_have_the_loss_of_each_alone(name, tmp_path):
    _, task = saved_decoder(tmp_path, name)
    rows = kft.from_lists(["a good film", "the very awful plot", "boring", "great"])
    sizes = [len(ids_of(task, text)) for text in rows.texts()]
    assert sum(sizes) <= task.tokenizer.max_length  # One row.
    task.compile()
    (packed,) = task.dataset(rows)
    assert packed[0]["input_ids"].shape == (1, sum(sizes))
    loss = task.evaluate(task.dataset(rows), verbose=0, return_dict=True)["loss"]
    alone = np.concatenate(task.predict_rows(rows))
    assert len(alone) == sum(sizes) - len(sizes)
    assert loss == pytest.approx(-alone.mean(), abs=1e-5)


def test_likelihoods_are_torchs(decoder):
    model, task = decoder
    texts = ["a good film", "the very boring awful plot is not great"]
    told = task.predict_text(texts)
    for text, one in zip(texts, told, strict=True):
        expected = of_torch(model, ids_of(task, text))
        assert one["tokens"] == len(expected)
        assert one["log_likelihood"] == pytest.approx(expected.sum(), abs=1e-4)
        assert one["perplexity"] == pytest.approx(np.exp(-expected.mean()), rel=1e-5)


def test_only_the_assistants_words_have_a_gradient(decoder):
    tf = pytest.importorskip("tensorflow")
    _, task = decoder
    task.compile()
    rows = kft.from_conversations([TALK])
    ((inputs, labels),) = task.dataset(rows)
    with tf.GradientTape() as tape:
        logits = task(inputs, training=False)
        tape.watch(logits)
        loss = task.compute_loss(x=inputs, y=labels, y_pred=logits)
    reached = np.abs(tape.gradient(loss, logits).numpy()).max(-1)[0] > 0
    ids = np.asarray(inputs["input_ids"])[0]
    learnt = [
        int(ids[place + 1]) for place in np.flatnonzero(reached) if place + 1 < len(ids)
    ]
    end = task.tokenizer.backend.token_to_id("[SEP]")
    said = [
        task.tokenizer.backend.encode(turn["content"], add_special_tokens=False).ids
        for turn in TALK
        if turn["role"] == "assistant"
    ]
    assert learnt == [*said[0], end, *said[1], end]


def test_a_conversation_is_answered(decoder):
    _, task = decoder
    (answer,) = task.generate([TALK[:3]], max_new_tokens=5, min_new_tokens=5)
    ids = task.chat(TALK[:3], add_generation_prompt=True).ids.tolist()
    settings = {"max_new_tokens": 5, "min_new_tokens": 5}
    ((expected,),) = task.generate_ids([ids], **settings)
    assert answer == task._text_after(ids, expected)


def test_what_generation_config_says_ends_a_text(tmp_path):
    _, task = saved_decoder(tmp_path)
    path = tmp_path / "generation_config.json"
    path.write_text(json.dumps({"eos_token_id": [9, 11], "max_length": 20, "a": "/x"}))
    task = kft.CausalLM.from_pretrained(tmp_path)
    assert task.end_ids == (9, 11)
    task.save_pretrained(tmp_path / "saved")
    written = json.loads((tmp_path / "saved/generation_config.json").read_text())
    assert written == {"eos_token_id": [9, 11], "max_length": 20}
    path.write_text("[1]")
    with pytest.raises(CheckpointError, match="not a JSON object"):
        kft.CausalLM.from_pretrained(tmp_path)


@pytest.mark.parametrize("name", FEW)
def test_trained_and_saved_it_gives_the_same_logits_in_torch(name, tmp_path):
    keras.utils.set_random_seed(0)
    _, task = saved_decoder(tmp_path, name)
    task.compile(kft.adamw(1e-3, total_steps=2, warmup=0), run_eagerly=True)
    rows = tiny_documents(8)
    task.fit(task.dataset(rows, batch_size=8, training=True), epochs=2, verbose=0)
    task.save_pretrained(tmp_path / "saved")
    model, report = AutoModelForCausalLM.from_pretrained(
        tmp_path / "saved", output_loading_info=True
    )
    assert not report["missing_keys"] and not report["unexpected_keys"]
    ids = np.array([ids_of(task, "a good film")], "int32")
    with torch.no_grad():
        expected = model.eval()(torch.tensor(ids)).logits.numpy()
    ours = task({"input_ids": ids, "attention_mask": np.ones_like(ids)})
    np.testing.assert_allclose(ours, expected, **EXACT)


def test_a_decoder_from_nothing_starts_at_the_loss_of_a_guess(tmp_path):
    keras.utils.set_random_seed(0)
    save_tokenizer(tmp_path)
    config = {"model_type": "gpt2", "n_embd": 32, "n_layer": 2, "n_head": 4}
    task = kft.CausalLM.from_scratch(config | {"n_positions": 64}, tmp_path)
    task.compile()
    told = task.evaluate(task.dataset(tiny_documents(9)), verbose=0, return_dict=True)
    assert told["loss"] == pytest.approx(np.log(task.tokenizer.vocab_size), rel=0.02)


def test_a_classifier_on_a_gpt2_without_padding_is_the_same_in_torch(tmp_path):
    keras.utils.set_random_seed(0)
    backbone = new_backbone("gpt2", pad_token_id=None, extra={"eos_token_id": 3})
    backbone.save_pretrained(tmp_path)
    save_tokenizer(tmp_path)
    task = kft.TextClassifier.from_pretrained(tmp_path, labels=LABELS)
    task.save_pretrained(tmp_path / "saved")
    model = AutoModelForSequenceClassification.from_pretrained(tmp_path / "saved")
    assert model.config.pad_token_id == 3
    texts = ["a good film", "awful", ""]
    encoded = [ids_of(task, text)[:-1] for text in texts]  # Its own end is padding.
    width = max(map(len, encoded))
    ids = np.full((3, width), 3, "int32")
    mask = np.zeros_like(ids)
    for i, one in enumerate(encoded):
        ids[i, : len(one)], mask[i, : len(one)] = one, 1
    with torch.no_grad():
        batch = {"input_ids": torch.tensor(ids), "attention_mask": torch.tensor(mask)}
        expected = model.eval()(**batch).logits.numpy()
    ours = task({"input_ids": ids, "attention_mask": mask})
    np.testing.assert_allclose(ours, expected, **EXACT)
