"""Adapters on logits that are read off the token embedding's table (`lm_head`).

There peft 0.21 merges into the table, which changes the embedding, too.
"""

import json

import keras
import numpy as np
import pytest
import torch
from adapted_models import reopened, torch_logits, with_peft
from numpy.testing import assert_allclose
from peft import LoraConfig
from tiny_decoders import prompts_of
from tiny_encoders import EXACT, batch_for
from tiny_prompts import alike, saved_base, tensors_of
from tiny_tasks import tiny_documents
from transformers import AutoModelForCausalLM

import kerasft as kft
from kerasft._errors import CheckpointError, SettingsError

pytestmark = pytest.mark.filterwarnings("ignore:Setting `save_embedding_layers`")

TARGETS = {"gpt2": ["lm_head", "c_attn"], "llama": ["lm_head", "q_proj"]}
STILL = {"resid_pdrop": 0.0, "embd_pdrop": 0.0, "attn_pdrop": 0.0}
HEAD = kft.LoRA(rank=4, targets=("lm_head",))
ENDS = {"bos_token_id": None, "eos_token_id": 7, "pad_token_id": 0}


@pytest.fixture(scope="module", params=TARGETS)
def family(request):
    return request.param


@pytest.fixture(scope="module")
def base(family, tmp_path_factory):
    settings = ENDS | (STILL if family == "gpt2" else {"tie_word_embeddings": True})
    folder = tmp_path_factory.mktemp(family)
    return saved_base(folder, family, "CAUSAL_LM", **settings)


@pytest.fixture
def task(base):
    keras.utils.set_random_seed(0)
    return kft.CausalLM.from_pretrained(base)


@pytest.fixture(scope="module")
def batch(family):
    return batch_for(family)


def peft_on(base, family):
    """Another adapter of peft's; it warns that it writes `lm_head`, too."""
    model = AutoModelForCausalLM.from_pretrained(base)
    config = LoraConfig(
        r=4, lora_alpha=8, target_modules=TARGETS[family], task_type="CAUSAL_LM"
    )
    return with_peft(model, config)


def moved(task):
    """The task, its adapter no longer fresh."""
    random = np.random.default_rng(0)
    for weight in task.trainable_weights:
        weight.assign(weight + 0.1 * random.standard_normal(weight.shape))
    return task


def test_an_adapter_of_peft_gives_its_logits_here_and_back(
    family, base, task, batch, tmp_path
):
    theirs = peft_on(base, family)
    theirs.save_pretrained(tmp_path / "theirs")
    logits, plain = torch_logits(theirs, batch), np.asarray(task(batch))
    task.load_adapter(tmp_path / "theirs")
    assert abs(plain - logits).max() > 1e-3
    assert alike(task(batch), logits, batch) < 1e-5
    task.save_adapter(tmp_path / "ours")
    ours = tensors_of(tmp_path / "ours")
    # peft adds the frozen matrix below.
    theirs_alone = set(tensors_of(tmp_path / "theirs")) - set(ours)
    assert theirs_alone == {"base_model.model.lm_head.base_layer.weight"}
    again = reopened(AutoModelForCausalLM, base, tmp_path / "ours")
    assert alike(torch_logits(again, batch), logits, batch) < 1e-5


def test_an_adapter_of_another_base_s_table_is_refused(family, base, task, tmp_path):
    theirs = peft_on(base, family)
    theirs.base_model.model.lm_head.base_layer.weight.data[3, 4] += 1
    theirs.save_pretrained(tmp_path)
    with pytest.raises(CheckpointError, match="lm_head.base_layer.weight: another"):
        task.load_adapter(tmp_path)


def test_three_steps_move_it_as_peft_s_are_moved(family, base, task, tmp_path):
    theirs = peft_on(base, family)
    theirs.save_pretrained(tmp_path / "start")
    task.load_adapter(tmp_path / "start")
    ids = np.random.default_rng(1).integers(10, 90, (3, 9)).astype("int32")
    after = np.full_like(ids, -100)
    after[:, :-1] = ids[:, 1:]
    inputs = {"input_ids": ids, "attention_mask": np.ones_like(ids)}
    trained = [p for p in theirs.parameters() if p.requires_grad]
    optimizer = torch.optim.SGD(trained, 0.1)
    task.compile(keras.optimizers.SGD(0.1))
    told = {name: torch.tensor(array) for name, array in inputs.items()}
    for _ in range(3):
        theirs(**told, labels=torch.tensor(ids).long()).loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        task.train_on_batch(inputs, after)
    theirs.save_pretrained(tmp_path / "theirs")
    task.save_adapter(tmp_path / "ours")
    ours = tensors_of(tmp_path / "ours")
    theirs = tensors_of(tmp_path / "theirs")
    for key, tensor in ours.items():
        assert_allclose(tensor, theirs[key], err_msg=key, **EXACT)


METHODS = [
    HEAD,
    kft.LoRA(rank=4, targets=("decoder",), init="pissa"),
    kft.DoRA(rank=4, targets=("lm_head",)),
    kft.AdaLoRA(init_rank=4, target_rank=2, targets=("lm_head",)),
]


@pytest.mark.parametrize("method", METHODS, ids=lambda m: f"{m.kind}")
def test_merging_gives_the_logits_a_matrix_of_their_own(method, task, batch):
    plain = np.asarray(task(batch))
    task.add_adapter(method)
    assert alike(task(batch), plain, batch) < 1e-5
    table = keras.ops.convert_to_numpy(task.backbone.token_table)
    logits = np.asarray(moved(task)(batch))
    assert abs(logits - plain).max() > 1e-3
    task.merge_adapter()
    assert alike(task(batch), logits, batch) < 1e-5
    assert not task.backbone.config.tied
    np.testing.assert_array_equal(task.backbone.token_table, table)
    task.unmerge_adapter()
    assert task.backbone.config.tied and not task.head.weights
    np.testing.assert_array_equal(np.asarray(task(batch)), logits)
    task.set_adapter(None)
    np.testing.assert_array_equal(np.asarray(task(batch)), plain)


def test_what_is_merged_loads_in_torch_and_here(task, batch, tmp_path):
    task.add_adapter(HEAD)
    logits = np.asarray(moved(task)(batch))
    task.merge_adapter(forget=True)
    task.save_pretrained(tmp_path / "merged")
    config = json.loads((tmp_path / "merged" / "config.json").read_text())
    assert config["tie_word_embeddings"] is False
    theirs = AutoModelForCausalLM.from_pretrained(tmp_path / "merged")
    assert alike(torch_logits(theirs.eval(), batch), logits, batch) < 1e-5
    again = kft.CausalLM.from_pretrained(tmp_path / "merged")
    assert alike(again(batch), logits, batch) < 1e-6
    task.compile(keras.optimizers.SGD(0.1))
    before = keras.ops.convert_to_numpy(task.head.decoder.kernel)
    task.fit(task.dataset(tiny_documents(8), 4, training=True), verbose=0)
    assert abs(keras.ops.convert_to_numpy(task.head.decoder.kernel) - before).max() > 0


def test_texts_are_written_with_it(task, base, batch, tmp_path):
    task.add_adapter(HEAD)
    moved(task).save_adapter(tmp_path / "ours")
    prompts = prompts_of(4)
    found = task.generate_ids(prompts, max_new_tokens=12)
    theirs = reopened(AutoModelForCausalLM, base, tmp_path / "ours")
    for prompt, (ids,) in zip(prompts, found, strict=True):
        told = torch.tensor([prompt])
        with torch.no_grad():
            made = theirs.generate(
                input_ids=told,
                attention_mask=torch.ones_like(told),
                max_new_tokens=12,
                do_sample=False,
                pad_token_id=0,
            )[0, len(prompt) :].tolist()
        assert ids == (made[: made.index(7)] if 7 in made else made)
    task.merge_adapter()
    assert task.generate_ids(prompts, max_new_tokens=12) == found


@pytest.mark.parametrize("merged", [False, True])
def test_the_archive_keeps_it_and_it_trains_on(merged, task, batch, tmp_path):
    task.add_adapter(HEAD)
    logits = np.asarray(moved(task)(batch))
    if merged:
        task.merge_adapter(forget=True)
    task.save(tmp_path / "task.keras")
    again = keras.saving.load_model(tmp_path / "task.keras")
    assert alike(again(batch), logits, batch) < 1e-6
    again.compile(keras.optimizers.SGD(0.1))
    weights = [keras.ops.convert_to_numpy(w) for w in again.trainable_weights]
    again.fit(again.dataset(tiny_documents(8), 4, training=True), verbose=0)
    for weight, before in zip(again.trainable_weights, weights, strict=True):
        assert abs(keras.ops.convert_to_numpy(weight) - before).max() > 0, weight.path


def test_modules_to_save_that_have_no_weights_are_refused(task):
    wrong = kft.LoRA(modules_to_save=("lm_head", "clasifier"))
    with pytest.raises(SettingsError, match="lm_head, clasifier names no layer with"):
        task.add_adapter(wrong)
    assert task.adapters == ()
