"""GPT-2's own: its numbers, its files as the hub has them."""

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from tiny_encoders import (
    assert_same_states,
    batch_for,
    rewrite,
    run_torch,
    save_torch,
    torch_model,
)
from transformers import AutoModel, AutoModelForCausalLM

from kerasft._errors import CheckpointError
from kerasft.models import Backbone, pretrained


@pytest.mark.parametrize(
    "settings",
    [
        {"scale_attn_weights": False},
        {"scale_attn_by_inverse_layer_idx": True},
        {"n_inner": None, "activation_function": "gelu"},
    ],
    ids=lambda settings: next(iter(settings)),
)
def test_hidden_states_equal_torch(settings, tmp_path):
    model, batch = torch_model("gpt2", **settings), batch_for("gpt2")
    backbone = Backbone.from_pretrained(save_torch(model, tmp_path))
    expected = run_torch(model, batch).last_hidden_state
    assert_same_states(backbone(batch), expected, batch["attention_mask"])
    backbone.save_pretrained(tmp_path / "ours")
    again = AutoModel.from_pretrained(tmp_path / "ours").eval()
    assert again.config.n_inner == model.config.n_inner
    states = run_torch(again, batch)[0]
    assert_same_states(backbone(batch), states, batch["attention_mask"])


def test_a_file_of_the_hub_loads(tmp_path):
    model, batch = torch_model("gpt2", AutoModelForCausalLM), batch_for("gpt2")
    save_torch(model, tmp_path)
    rewrite(tmp_path, lambda key: key.removeprefix("transformer."))
    path = tmp_path / "model.safetensors"
    tensors = load_file(path)
    for i in range(2):  # What old versions saved beside the weights.
        tensors[f"h.{i}.attn.bias"] = torch.ones(1, 1, 40, 40)
        tensors[f"h.{i}.attn.masked_bias"] = torch.tensor(-1e4)
    save_file(tensors, path)
    backbone = Backbone.from_pretrained(tmp_path)
    expected = run_torch(model.transformer, batch).last_hidden_state
    assert_same_states(backbone(batch), expected, batch["attention_mask"])


def test_an_initializer_of_new_weights_is_gpt2s(tmp_path):
    save_torch(torch_model("gpt2", n_embd=128, n_inner=256), tmp_path)
    family, config = pretrained.read_config(tmp_path)
    block = family.new_backbone(config).block_1
    spread = {
        layer.path.rpartition("/")[2]: np.asarray(layer.kernel).std()
        for layer in (block.attention.qkv_proj, block.attention.o_proj)
        + (block.mlp.up_proj, block.mlp.down_proj)
    }
    for name, deviation in spread.items():
        share = 0.5 if name in ("o_proj", "down_proj") else 1.0
        assert abs(deviation / (0.02 * share) - 1) < 0.05, name


def test_cross_attention_is_refused(tmp_path):
    save_torch(torch_model("gpt2", add_cross_attention=True), tmp_path)
    with pytest.raises(CheckpointError, match="add_cross_attention"):
        Backbone.from_pretrained(tmp_path)
