"""Folders that do not fit are refused whole, and say where they do not fit."""

import json
import resource
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose
from safetensors.torch import load_file, save_file
from tiny_encoders import (
    EXACT,
    assert_same_states,
    batch_for,
    load_classifier,
    rewrite,
    run_torch,
    save_torch,
    torch_classifier,
    torch_model,
)
from transformers import AutoModel, AutoModelForMaskedLM

from kerasft._errors import CheckpointError
from kerasft.checkpoints.tensors import write_tensors
from kerasft.models import Backbone, pretrained


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    return save_torch(torch_model("bert"), tmp_path_factory.mktemp("original"))


@pytest.fixture
def folder(original, tmp_path):
    return Path(shutil.copytree(original, tmp_path / "bert"))


def set_config(folder, **fields):
    path = folder / "config.json"
    content = {**json.loads(path.read_text()), **fields}
    path.write_text(json.dumps(content))


def drop_config(folder, field):
    path = folder / "config.json"
    content = json.loads(path.read_text())
    del content[field]
    path.write_text(json.dumps(content))


def test_sharded_files_load(tmp_path):
    model, batch = torch_model("bert"), batch_for("bert")
    model.save_pretrained(tmp_path, max_shard_size="20KB")
    assert len(list(tmp_path.glob("*.safetensors"))) > 2
    expected = run_torch(model, batch).last_hidden_state
    states = Backbone.from_pretrained(tmp_path)(batch)
    assert_same_states(states, expected, batch["attention_mask"])


def test_bfloat16_files_load_as_float32(tmp_path):
    model, batch = torch_model("bert").to(torch.bfloat16), batch_for("bert")
    model.save_pretrained(tmp_path)
    expected = run_torch(model.float(), batch).last_hidden_state
    states = Backbone.from_pretrained(tmp_path)(batch)
    assert_same_states(states, expected, batch["attention_mask"])


def test_a_masked_lm_gives_its_backbone_and_a_new_pooler(tmp_path):
    model = torch_model("bert", AutoModelForMaskedLM)
    _, _, report = load_classifier(save_torch(model, tmp_path), 2)
    assert {"pooler/kernel", "pooler/bias"} <= set(report.fresh)
    assert "cls.predictions.bias" in report.ignored


def test_a_plain_bert_gives_its_pooler_to_the_head(folder):
    _, head, report = load_classifier(folder, 2)
    kernel = load_file(folder / "model.safetensors")["pooler.dense.weight"].numpy().T
    assert_allclose(head.pooler.kernel, kernel, rtol=0)
    assert set(report.fresh) == {"logits/kernel", "logits/bias"}
    assert {"pooler/kernel", "pooler/bias"} <= set(report.loaded)


def test_a_classifier_trained_without_pooler_is_no_text_classifier(tmp_path):
    save_torch(torch_classifier("bert"), tmp_path)
    rewrite(tmp_path, lambda key: None if "pooler" in key else key)
    with pytest.raises(CheckpointError, match="bert.pooler.dense.weight, though"):
        load_classifier(tmp_path, 3)


def test_known_buffers_are_no_misfit(folder):
    tensors = load_file(folder / "model.safetensors")
    tensors["embeddings.position_ids"] = torch.arange(40)
    save_file(tensors, folder / "model.safetensors")
    Backbone.from_pretrained(folder)


def test_every_misfit_is_told_at_once(folder):
    path = folder / "model.safetensors"
    tensors = load_file(path)
    del tensors["encoder.layer.1.output.dense.bias"]
    tensors["embeddings.LayerNorm.weight"] = torch.ones(7)
    tensors["encoder.layer.2.output.dense.bias"] = torch.ones(32)
    save_file(tensors, path)
    with pytest.raises(CheckpointError) as error:
        Backbone.from_pretrained(folder)
    for words in (
        "embeddings.LayerNorm.weight has shape (7,), the model needs (32,)",
        "block_1/mlp/down_proj/bias: the file has no bert.encoder.layer.1",
        "encoder.layer.2.output.dense.bias: the model has no place for it",
    ):
        assert words in str(error.value)
    assert len(str(error.value).splitlines()) == 4


@pytest.mark.parametrize(
    "field, value",
    [
        ("hidden_size", 10**9),
        ("hidden_size", 64),
        ("hidden_size", 0),
        ("num_hidden_layers", 10**9),
        ("num_hidden_layers", 1000),
        ("num_hidden_layers", 1),
        ("num_hidden_layers", 3),
        ("vocab_size", -1),
        ("vocab_size", 2**63),
        ("vocab_size", 768.0),
        ("vocab_size", "768"),
        ("vocab_size", True),
        ("vocab_size", None),
        ("vocab_size", 102),
        ("intermediate_size", 65),
        ("max_position_embeddings", 512),
        ("type_vocab_size", 3),
        ("num_attention_heads", 5),
        ("num_attention_heads", 0),
        ("pad_token_id", 101),
        ("hidden_dropout_prob", 1),
        ("hidden_dropout_prob", "0.1"),
        ("layer_norm_eps", 0),
        ("hidden_act", "os.system"),
        ("hidden_act", ["gelu"]),
        ("is_decoder", True),
        ("position_embedding_type", "relative_key"),
        ("problem_type", "magic"),
        ("id2label", {"1": "a"}),
        ("id2label", ["a"]),
        ("model_type", "mamba"),
        ("model_type", None),
    ],
)
def test_a_config_that_lies_is_refused_before_memory_is_taken(folder, field, value):
    set_config(folder, **{field: value})
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(CheckpointError):
        Backbone.from_pretrained(folder)
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert after - before < 100_000  # KiB


def test_a_missing_size_is_named(folder):
    drop_config(folder, "num_hidden_layers")
    with pytest.raises(CheckpointError, match="num_hidden_layers is missing"):
        Backbone.from_pretrained(folder)


@pytest.mark.parametrize("text", ["[]", "{", "1", '"x"'])
def test_a_config_that_is_no_object_is_refused(folder, text):
    (folder / "config.json").write_text(text)
    with pytest.raises(CheckpointError, match="config.json"):
        Backbone.from_pretrained(folder)


def test_a_folder_without_config_says_so(tmp_path):
    with pytest.raises(CheckpointError, match="config.json: cannot be read"):
        Backbone.from_pretrained(tmp_path)


CODE_FIELDS = {
    "auto_map": {"AutoModel": "canary.Canary"},
    "trust_remote_code": True,
    "_attn_implementation_internal": "canary/kernel",
    "custom_pipelines": {"x": {"impl": "canary.Canary"}},
    "model_file": "canary.py",
    "module": "canary",
    "class_name": "Lambda",
    "vocabulary": "/etc/passwd",
    "_name_or_path": "/somewhere",
}


def test_fields_that_select_code_are_neither_followed_nor_kept(folder, tmp_path):
    (folder / "canary.py").write_text(f"open({str(tmp_path / 'hit')!r}, 'w')")
    set_config(folder, **CODE_FIELDS, chunk_size_feed_forward=0, summary_type="first")
    Backbone.from_pretrained(folder).save_pretrained(tmp_path / "saved")
    saved = json.loads((tmp_path / "saved" / "config.json").read_text())
    assert not set(saved) & set(CODE_FIELDS)
    assert saved["chunk_size_feed_forward"] == 0 and saved["summary_type"] == "first"
    assert not (tmp_path / "hit").exists()


def test_what_torch_wrote_in_config_is_written_again(folder, tmp_path):
    Backbone.from_pretrained(folder).save_pretrained(tmp_path / "saved")
    original = json.loads((folder / "config.json").read_text())
    saved = json.loads((tmp_path / "saved" / "config.json").read_text())
    del original["transformers_version"]
    assert saved == original


def test_a_save_over_itself_keeps_the_weights(folder):
    batch = batch_for("bert")
    backbone = Backbone.from_pretrained(folder)
    backbone.save_pretrained(folder)
    assert_allclose(Backbone.from_pretrained(folder)(batch), backbone(batch), **EXACT)


def test_saving_twice_gives_the_same_bytes(folder, tmp_path):
    backbone = Backbone.from_pretrained(folder)
    for name in ("a", "b"):
        backbone.save_pretrained(tmp_path / name)
    for name in ("config.json", "model.safetensors"):
        first, second = (tmp_path / place / name for place in "ab")
        assert first.read_bytes() == second.read_bytes()


def test_a_failed_save_leaves_the_old_checkpoint(folder, monkeypatch):
    backbone = Backbone.from_pretrained(folder)
    before = (folder / "model.safetensors").read_bytes()

    def full(*args, **kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("safetensors.numpy.save_file", full)
    with pytest.raises(OSError):
        backbone.save_pretrained(folder)
    assert (folder / "model.safetensors").read_bytes() == before
    assert [path.name for path in folder.parent.iterdir()] == ["bert"]


def test_a_weight_of_an_adapter_is_not_saved_silently(folder):
    backbone = Backbone.from_pretrained(folder)
    q_proj = backbone.block_0.attention.q_proj
    q_proj.enable_lora(2)
    with pytest.raises(CheckpointError, match="lora.*adapter"):
        list(pretrained.named_tensors(backbone))


def test_a_sharded_save_opens_in_torch(folder, tmp_path):
    backbone, batch = Backbone.from_pretrained(folder), batch_for("bert")
    pretrained.write_model(tmp_path, backbone)
    (tmp_path / "model.safetensors").unlink()
    write_tensors(tmp_path, pretrained.named_tensors(backbone), 20_000)
    model = AutoModel.from_pretrained(tmp_path).eval()
    states = run_torch(model, batch).last_hidden_state
    assert_same_states(backbone(batch), states, batch["attention_mask"])


def test_eager_graph_and_xla_agree(folder):
    tf = pytest.importorskip("tensorflow")
    backbone, batch = Backbone.from_pretrained(folder), batch_for("bert")
    eager = np.asarray(backbone(batch))
    spec = {k: tf.TensorSpec((None, None), tf.int32) for k in batch}
    graph = tf.function(lambda inputs: backbone(inputs), input_signature=[spec])
    assert_allclose(graph(batch), eager, **EXACT)
    compiled = tf.function(lambda inputs: backbone(inputs), jit_compile=True)
    tensors = {k: tf.constant(v) for k, v in batch.items()}
    assert_allclose(compiled(tensors), eager, **EXACT)
