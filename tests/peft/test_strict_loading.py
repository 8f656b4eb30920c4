"""Loading an adapter finds every misfit, changes nothing, and runs nothing."""

import json

import numpy as np
import pytest
from adapted_models import EXACT, batch_for, loaded, logits_of, our_steps, saved_base
from numpy.testing import assert_allclose
from safetensors.numpy import load_file, save_file

import kerasft as kft


@pytest.fixture
def saved(tmp_path):
    """A base, an adapter of ours on it, and its logits."""
    saved_base("bert", tmp_path / "base")
    task, batch = loaded(tmp_path / "base"), batch_for("bert")
    task.add_adapter(kft.LoRA(rank=2))
    our_steps(task, batch, 2, 0.1)
    task.save_adapter(tmp_path / "adapter")
    return tmp_path, logits_of(task, batch)


def rewritten(folder, change):
    path = folder / "adapter_model.safetensors"
    tensors = load_file(path)
    change(tensors)
    save_file({k: np.ascontiguousarray(v) for k, v in tensors.items()}, path)


def reconfigured(folder, **fields):
    path = folder / "adapter_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | fields))


def test_all_misfits_are_one_error_and_nothing_is_changed(saved):
    place, _ = saved

    def spoil(tensors):
        keys = sorted(tensors)
        del tensors[keys[0]]
        tensors[keys[1]] = tensors[keys[1]][:5]
        tensors["base_model.model.bert.pooler.dense.lora_A.weight"] = np.ones((2, 32))

    rewritten(place / "adapter", spoil)
    task = loaded(place / "base")
    before = logits_of(task, batch_for("bert"))
    with pytest.raises(kft.KerasftError) as error:
        task.load_adapter(place / "adapter")
    message = str(error.value)
    assert "missing" in message and "expected" in message and "no place" in message
    assert task.adapters == ()
    assert_allclose(logits_of(task, batch_for("bert")), before, rtol=0, atol=0)
    assert all(weight.trainable for weight in task.backbone.weights)


def test_not_strict_takes_what_fits_and_tells_the_rest(saved):
    place, _ = saved

    def drop(tensors):
        tensors.pop(sorted(tensors)[0])

    rewritten(place / "adapter", drop)
    misfits = loaded(place / "base").load_adapter(place / "adapter", strict=False)
    assert len(misfits) == 1 and "missing" in misfits[0]


def test_labels_in_another_order_are_a_misfit(saved):
    place, _ = saved
    path = place / "adapter" / "kerasft_adapter.json"
    own = json.loads(path.read_text())
    labels = own["config"]["id2label"]
    own["config"]["id2label"] = dict(zip(labels, [*labels.values()][::-1], strict=True))
    path.write_text(json.dumps(own))
    task = loaded(place / "base")
    with pytest.raises(
        kft.KerasftError, match="the adapter's labels are .* the task's"
    ):
        task.load_adapter(place / "adapter")
    assert task.adapters == ()
    (told,) = task.load_adapter(place / "adapter", strict=False)
    assert "labels are" in told


def test_an_adapter_of_another_family_is_told_with_its_folder(saved, tmp_path):
    place, _ = saved
    saved_base("gpt2", tmp_path / "other")
    with pytest.raises(kft.KerasftError, match="adapter: does not fit this model"):
        loaded(tmp_path / "other").load_adapter(place / "adapter")


@pytest.mark.parametrize("method", ["lora", None, {"rank": 8}, kft.LoRA])
def test_what_is_no_method_is_refused(saved, method):
    task = loaded(saved[0] / "base")
    with pytest.raises(kft.KerasftError, match="takes a method with its settings"):
        task.add_adapter(method)
    assert task.adapters == ()


@pytest.mark.parametrize(
    "settings, words",
    [
        ({"rank": "8"}, "rank is '8', expected int"),
        ({"rank": True}, "rank is True, expected int"),
        (
            {"rank": 1.5, "dropout": "much"},
            "rank is 1.5, .* dropout is 'much', expected",
        ),
    ],
)
def test_settings_of_the_wrong_type_are_told_all_at_once(settings, words):
    with pytest.raises(kft.KerasftError, match=words):
        kft.LoRA(**settings)


def test_another_base_is_recognised(saved, tmp_path):
    place, _ = saved
    task = loaded(place / "base")
    task.backbone.block_1.attention.q_proj.kernel.assign_add(
        np.full((32, 32), 0.01, "float32")
    )
    with pytest.raises(kft.KerasftError, match="made for another base"):
        task.load_adapter(place / "adapter")
    assert len(task.load_adapter(place / "adapter", strict=False)) == 1


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"peft_type": "LOHA"}, "peft_type is 'LOHA'; kerasft knows"),
        ({"lora_bias": True}, "lora_bias is set"),
        ({"target_modules": 3}, "target_modules should be"),
        ({"target_modules": ["nothing"]}, "nothing fits no layer"),
        ({"r": 0}, "rank is 0"),
    ],
)
def test_a_config_that_means_something_else_is_refused(saved, fields, words):
    place, _ = saved
    reconfigured(place / "adapter", **fields)
    with pytest.raises(kft.KerasftError, match=words):
        loaded(place / "base").load_adapter(place / "adapter")


def test_no_field_selects_code(saved):
    place, logits = saved
    mapping = {"base_model_class": "Popen", "parent_library": "subprocess"}
    reconfigured(place / "adapter", auto_mapping=mapping)
    task = loaded(place / "base")
    task.load_adapter(place / "adapter")
    assert_allclose(logits_of(task, batch_for("bert")), logits, **EXACT)


def test_a_task_begins_from_the_folder_of_an_adapter(saved):
    place, logits = saved
    task = kft.TextClassifier.from_pretrained(place / "adapter")
    assert_allclose(logits_of(task, batch_for("bert")), logits, **EXACT)
    assert task.checkpoint == str(place / "base")
    (place / "base").rename(place / "moved")
    with pytest.raises(kft.KerasftError, match="load_adapter"):
        kft.TextClassifier.from_pretrained(place / "adapter")


def test_saving_twice_replaces_and_a_strange_folder_is_kept(saved):
    place, _ = saved
    task = loaded(place / "base", place / "adapter")
    task.save_adapter(place / "adapter")
    strange = place / "strange"
    strange.mkdir()
    (strange / "adapter_model.safetensors").write_text("mine")
    with pytest.raises(kft.KerasftError, match="no adapter_config.json"):
        task.save_adapter(strange)
    assert (strange / "adapter_model.safetensors").read_text() == "mine"


def test_a_run_whose_length_was_left_to_the_fit_is_left_to_the_next_one(tmp_path):
    saved_base("bert", tmp_path / "base")
    task = loaded(tmp_path / "base")
    task.add_adapter(kft.AdaLoRA(init_rank=4, target_rank=2))
    task.save_adapter(tmp_path / "adapter")
    config = json.loads((tmp_path / "adapter" / "adapter_config.json").read_text())
    assert config["total_step"] >= 1  # peft reads no file without one.
    again = loaded(tmp_path / "base", tmp_path / "adapter")
    again.begin_fit(50)
    assert again.adapter_default.keeper.total == 50
