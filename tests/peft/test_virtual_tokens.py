"""Prefixes and prompts against peft: the same files, logits and texts."""

import json
import warnings

import keras
import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose
from tiny_decoders import DECODERS, prompts_of
from tiny_encoders import EXACT, batch_for
from tiny_prompts import (
    COUNT,
    KINDS,
    PREFIXES,
    TEXT,
    alike,
    loaded,
    ours_of,
    peft_model,
    read_by_peft,
    saved_base,
    tensors_of,
    torch_logits,
    vectors_of,
)

QUICK = ("bert", "roberta", "distilbert", "gpt2", "llama")
MORE = ("electra", "albert", "deberta-v2", "modernbert", "mistral", "qwen2", "qwen3")
PEFT_HAS_NO_PREFIX = ("distilbert", "albert", "deberta-v2", "modernbert")


def families_and_kinds(kinds):
    """All pairs that peft can do; quick are all kinds of one family, two of others."""
    for name in QUICK + MORE:
        for kind in kinds:
            if not (name in PEFT_HAS_NO_PREFIX and kind in PREFIXES):
                quick = name == "bert" or name in QUICK and kind in ("prefix", "random")
                marks = () if quick else pytest.mark.slow
                yield pytest.param(name, kind, marks=marks)


@pytest.fixture(scope="module")
def bases(tmp_path_factory):
    """(model type, task type) -> folder of a random model."""
    known = {}

    def base(model_type, task_type="SEQ_CLS"):
        key = model_type, task_type
        if key not in known:
            folder = tmp_path_factory.mktemp(f"{model_type}_{task_type}")
            settings = {}
            if task_type == "CAUSAL_LM":
                settings = {"bos_token_id": None, "eos_token_id": 7}
            known[key] = saved_base(folder, model_type, task_type, **settings)
        return known[key]

    return base


def rows_for(model_type, kind):
    """A batch; one row where torch would read padding, see `EmbeddedPrompt`."""
    batch = batch_for(model_type)
    if model_type in DECODERS and kind not in PREFIXES:
        return {name: rows[:1] for name, rows in batch.items()}
    return batch


@pytest.mark.parametrize(
    "model_type, kind", families_and_kinds(("prefix", "projection", "random", "lstm"))
)
def test_an_adapter_of_peft_gives_the_same_logits_and_goes_back(
    model_type, kind, bases, tmp_path
):
    base, batch = bases(model_type), rows_for(model_type, kind)
    theirs = peft_model(base, kind)
    theirs.save_pretrained(tmp_path / "theirs")
    expected = torch_logits(theirs, batch)
    task = loaded(base)
    plain = np.asarray(task(batch))
    task.load_adapter(tmp_path / "theirs")
    found = np.asarray(task(batch))
    assert_allclose(found, expected, **EXACT)
    assert np.abs(found - plain).max() > 1e-2
    task.save_adapter(tmp_path / "ours")
    files = tensors_of(tmp_path / "theirs"), tensors_of(tmp_path / "ours")
    assert files[0].keys() == files[1].keys()
    for key, tensor in files[0].items():
        assert_allclose(files[1][key], tensor, rtol=0, atol=0)
    task.set_adapter(None)
    assert_allclose(task(batch), plain, rtol=0, atol=0)


@pytest.mark.parametrize("model_type, kind", families_and_kinds(KINDS))
def test_an_adapter_of_ours_is_read_by_peft(model_type, kind, bases, tmp_path):
    base, batch = bases(model_type), rows_for(model_type, kind)
    task = loaded(base)
    keras.utils.set_random_seed(0)
    task.add_adapter(ours_of(kind))
    task.save_adapter(tmp_path / "ours")
    theirs = read_by_peft(base, tmp_path / "ours")
    assert_allclose(task(batch), torch_logits(theirs, batch), **EXACT)
    again = loaded(base)
    again.load_adapter(tmp_path / "ours")
    assert_allclose(again(batch), task(batch), rtol=0, atol=1e-6)
    assert type(again.working_adapter.method) is KINDS[kind][0]


@pytest.mark.parametrize(
    "model_type, kind",
    [*(("bert", kind) for kind in KINDS), ("llama", "prefix"), ("llama", "random")],
)
def test_the_config_has_the_fields_of_peft_s(model_type, kind, bases, tmp_path):
    base = bases(model_type)
    task = loaded(base)
    task.add_adapter(ours_of(kind))
    task.save_adapter(tmp_path / "ours")
    peft_model(base, kind).save_pretrained(tmp_path / "theirs")
    ours, theirs = (
        json.loads((tmp_path / who / "adapter_config.json").read_text())
        for who in ("ours", "theirs")
    )
    assert ours.keys() == theirs.keys()
    assert set(theirs.pop("modules_to_save")) == set(ours.pop("modules_to_save"))
    assert ours == theirs


@pytest.mark.parametrize("kind", ["prefix", "projection"])
def test_a_prefix_on_distilbert_is_saved_and_read(kind, bases, tmp_path):
    batch, task = batch_for("distilbert"), loaded(bases("distilbert"))
    plain = np.asarray(task(batch))
    task.add_adapter(ours_of(kind))
    found = np.asarray(task(batch))
    assert np.abs(found - plain).max() > 1e-2
    task.save_adapter(tmp_path)
    again = loaded(bases("distilbert"))
    again.load_adapter(tmp_path)
    assert_allclose(again(batch), found, rtol=0, atol=1e-6)
    width = 2 * 2 * 32
    assert tensors_of(tmp_path)["prompt_embeddings"].shape == (COUNT, width)


@pytest.mark.parametrize("model_type", ["bert", "gpt2"])
def test_a_prompt_begins_as_its_text_or_as_tokens_of_the_vocabulary(model_type, bases):
    base = bases(model_type)
    task = loaded(base)
    table = np.asarray(task.backbone.token_table)
    task.add_adapter(ours_of("text"), "text")
    theirs = peft_model(base, "text", noise=0)
    expected = theirs.prompt_encoder["default"].embedding.weight.detach().numpy()
    assert_allclose(vectors_of(task), expected, rtol=0, atol=0)
    task.add_adapter(ours_of("vocabulary"), "vocabulary")
    drawn = vectors_of(task)
    near = np.abs(drawn[:, None] - table).sum(-1)
    assert (near.min(1) == 0).all()
    assert len(set(near.argmin(1))) > 1


@pytest.mark.parametrize("kind", ["prefix", "random"])
@pytest.mark.parametrize("task_type", ["TOKEN_CLS", "QUESTION_ANS"])
@pytest.mark.parametrize("model_type", ["bert", "roberta"])
def test_logits_of_tokens_equal_peft_s(model_type, task_type, kind, bases, tmp_path):
    base, batch = bases(model_type, task_type), batch_for(model_type)
    if task_type == "QUESTION_ANS":
        batch.pop("token_type_ids", None)  # peft takes them there, and drops them.
    theirs = peft_model(base, kind, task_type)
    theirs.save_pretrained(tmp_path)
    task = loaded(base, task_type)
    task.load_adapter(tmp_path)
    found = np.asarray(task(batch))
    assert found.shape[:2] == batch["input_ids"].shape
    assert alike(found, torch_logits(theirs, batch), batch) < 1e-5


def decoders_and_ways():
    """All; quick are the likeliest texts of two."""
    for name in DECODERS:
        for kind in ("prefix", "random"):
            for way in ({}, {"num_beams": 3}):
                marks = () if name in QUICK and not way else pytest.mark.slow
                yield pytest.param(name, kind, way, marks=marks)


@pytest.mark.parametrize("model_type, kind, way", decoders_and_ways())
def test_texts_and_their_logits_equal_peft_s(model_type, kind, way, bases, tmp_path):
    base, batch = bases(model_type, "CAUSAL_LM"), batch_for(model_type)
    theirs = peft_model(base, kind, "CAUSAL_LM")
    theirs.save_pretrained(tmp_path)
    task, prompts = loaded(base, "CAUSAL_LM"), prompts_of(6)
    task.load_adapter(tmp_path)
    assert alike(task(batch), torch_logits(theirs, batch), batch) < 1e-5
    found = task.generate_ids(prompts, max_new_tokens=20, **way)
    for prompt, (ids,) in zip(prompts, found, strict=True):
        assert ids == continued(theirs, prompt, max_new_tokens=20, **way)


def test_what_was_compiled_is_forgotten_with_an_adapter(bases):
    task, prompts = loaded(bases("gpt2", "CAUSAL_LM"), "CAUSAL_LM"), prompts_of(3)
    plain = task.generate_ids(prompts, max_new_tokens=9)
    before = task.log_likelihoods([TEXT])
    task.add_adapter(ours_of("prefix"))
    assert task.generate_ids(prompts, max_new_tokens=9) != plain
    assert task.log_likelihoods([TEXT]) != before
    task.delete_adapter()
    assert task.generate_ids(prompts, max_new_tokens=9) == plain
    assert task.log_likelihoods([TEXT]) == before


def continued(model, prompt, **settings):
    """What peft makes of a prompt, up to the end."""
    ids = torch.tensor([prompt])
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        made = model.generate(
            input_ids=ids,
            attention_mask=torch.ones_like(ids),
            do_sample=False,
            pad_token_id=0,
            **settings,
        )
    made = made[0, len(prompt) :].tolist()
    return made[: made.index(7)] if 7 in made else made
