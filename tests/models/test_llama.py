"""Llama's own: stretched positions, shared heads, windows, both spellings."""

import json

import numpy as np
import pytest
from numpy.testing import assert_allclose
from tiny_encoders import (
    EXACT,
    assert_same_states,
    batch_for,
    run_torch,
    save_torch,
    torch_model,
)
from transformers import AutoModel, AutoModelForCausalLM

from kerasft._errors import CheckpointError
from kerasft.checkpoints.tensors import TensorReader
from kerasft.models import Backbone, pretrained

HALF = 4  # Pairs of features of a tiny head.
ROPES = {
    "default": {},
    "linear": {"factor": 4.0},
    "dynamic": {"factor": 4.0},
    "yarn": {"factor": 4.0, "original_max_position_embeddings": 10},
    "yarn by hand": {
        "factor": 4.0,
        "original_max_position_embeddings": 10,
        "beta_fast": 3,
        "beta_slow": 0.5,
        "attention_factor": 1.3,
    },
    "llama3": {
        "factor": 8.0,
        "low_freq_factor": 1.0,
        "high_freq_factor": 4.0,
        "original_max_position_embeddings": 20,
    },
    "longrope": {
        "short_factor": [1.0, 1.1, 1.2, 1.3],
        "long_factor": [1.0, 2.0, 3.0, 4.0],
        "original_max_position_embeddings": 12,
    },
    "longrope, short": {
        "short_factor": [1.0, 1.1, 1.2, 1.3],
        "long_factor": [1.0, 2.0, 3.0, 4.0],
        "original_max_position_embeddings": 30,
    },
}


@pytest.fixture(params=ROPES)
def rope(request):
    kind = request.param.split()[0].rstrip(",")
    return {"rope_type": kind, "rope_theta": 500.0, **ROPES[request.param]}


def model_of(rope, model_type="llama", **settings):
    # Fewer positions than the texts have tokens: a stretch by length shows.
    return torch_model(
        model_type, rope_parameters=rope, max_position_embeddings=15, **settings
    )


def test_stretched_positions_equal_torch(rope, tmp_path):
    model, batch = model_of(rope), batch_for("llama")
    backbone = Backbone.from_pretrained(save_torch(model, tmp_path))
    expected = run_torch(model, batch).last_hidden_state
    assert_same_states(backbone(batch), expected, batch["attention_mask"])


def test_the_old_spelling_says_the_same(rope, tmp_path):
    model, batch = model_of(rope), batch_for("llama")
    path = save_torch(model, tmp_path) / "config.json"
    content = json.loads(path.read_text())
    told = content.pop("rope_parameters")
    content["rope_theta"] = told.pop("rope_theta")
    told["type"] = told.pop("rope_type")
    content["rope_scaling"] = told if told["type"] != "default" else None
    path.write_text(json.dumps(content))
    expected = run_torch(model, batch).last_hidden_state
    states = Backbone.from_pretrained(tmp_path)(batch)
    assert_same_states(states, expected, batch["attention_mask"])


def test_what_is_saved_is_stretched_alike_in_torch(rope, tmp_path):
    save_torch(model_of(rope), tmp_path / "theirs")
    backbone, batch = Backbone.from_pretrained(tmp_path / "theirs"), batch_for("llama")
    backbone.save_pretrained(tmp_path / "ours")
    again = AutoModel.from_pretrained(tmp_path / "ours").eval()
    states = run_torch(again, batch)[0]
    assert_same_states(backbone(batch), states, batch["attention_mask"])


@pytest.mark.parametrize(
    "model_type, settings",
    [
        ("llama", {"attention_bias": True, "mlp_bias": True}),
        ("llama", {"head_dim": 12, "num_key_value_heads": 1}),
        ("llama", {"num_key_value_heads": None}),
        ("mistral", {"sliding_window": None}),
        ("qwen2", {"use_sliding_window": True, "sliding_window": 3}),
        ("qwen3", {"attention_bias": True, "use_sliding_window": False}),
    ],
    ids=str,
)
def test_variants_equal_torch_both_ways(model_type, settings, tmp_path):
    if settings.get("use_sliding_window"):
        settings = {**settings, "max_window_layers": 1}
    model, batch = torch_model(model_type, **settings), batch_for(model_type)
    backbone = Backbone.from_pretrained(save_torch(model, tmp_path))
    expected = run_torch(model, batch).last_hidden_state
    assert_same_states(backbone(batch), expected, batch["attention_mask"])
    backbone.save_pretrained(tmp_path / "ours")
    again = AutoModel.from_pretrained(tmp_path / "ours").eval()
    states = run_torch(again, batch)[0]
    assert_same_states(backbone(batch), states, batch["attention_mask"])


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("model_type", ["gpt2", "llama"])
def test_a_table_of_its_own_or_the_embeddings(model_type, tied, tmp_path):
    model = torch_model(model_type, AutoModelForCausalLM, tie_word_embeddings=tied)
    family, config = pretrained.read_config(save_torch(model, tmp_path))
    assert config.tied is tied
    reader = TensorReader(tmp_path)
    backbone = pretrained.empty_backbone(family, config, reader)
    head = family.heads["causal_lm"].build(config, config.vocab_size)
    report = pretrained.load_weights(reader, backbone, "causal_lm", head)
    assert not report.fresh and bool(head.weights) is not tied
    batch = batch_for(model_type)
    logits = np.asarray(head(backbone(batch), backbone.token_table))
    real = batch["attention_mask"] == 1
    assert_allclose(logits[real], run_torch(model, batch).logits[real], **EXACT)


@pytest.mark.parametrize(
    "rope, told",
    [
        ({"rope_type": "spiral"}, "known: default, linear"),
        ({"rope_type": "linear"}, "factor is missing"),
        ({"rope_type": "linear", "factor": -1}, "factor is -1"),
        ({"rope_type": "longrope", "short_factor": [1], "long_factor": "x"}, "long_f"),
        ({"rope_type": "default", "partial_rotary_factor": 0.5}, "partial_rotary"),
        ([1], "not an object"),
    ],
    ids=str,
)
def test_positions_that_are_not_known_are_refused(rope, told, tmp_path):
    path = save_torch(torch_model("llama"), tmp_path) / "config.json"
    content = json.loads(path.read_text()) | {"rope_parameters": rope}
    path.write_text(json.dumps(content))
    with pytest.raises(CheckpointError, match=told):
        Backbone.from_pretrained(tmp_path)
