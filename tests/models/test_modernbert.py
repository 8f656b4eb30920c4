"""What ModernBERT alone has: windows, spellings of its config, heads of means."""

import json

import numpy as np
import pytest
from numpy.testing import assert_allclose
from tiny_encoders import (
    EXACT,
    batch_for,
    load_classifier,
    new_backbone,
    run_torch,
    save_torch,
    torch_classifier,
    torch_model,
)
from transformers import AutoModelForMaskedLM

from kerasft._errors import CheckpointError
from kerasft.layers.packing import packed_tokens
from kerasft.models import Backbone, pretrained

FULL, LOCAL = "full_attention", "sliding_attention"


@pytest.mark.parametrize(
    "settings",
    [
        {"classifier_pooling": "mean"},
        {"attention_bias": True, "mlp_bias": True, "norm_bias": True},
        {"classifier_bias": True, "classifier_activation": "relu"},
        {"layer_types": [LOCAL, LOCAL, FULL, LOCAL], "num_hidden_layers": 4},
        {"local_attention": 3, "hidden_activation": "silu"},
        {
            "rope_parameters": {
                FULL: {"rope_theta": 50.0, "rope_type": "default"},
                LOCAL: {"rope_theta": 20.0, "rope_type": "default"},
            }
        },
    ],
    ids=str,
)
def test_logits_equal_torch_with(settings, tmp_path):
    model = torch_classifier("modernbert", **settings)
    batch = batch_for("modernbert")
    backbone, head, report = load_classifier(save_torch(model, tmp_path), 3)
    assert report.fresh == report.ignored == ()
    logits = head(backbone(batch), attention_mask=batch["attention_mask"])
    assert_allclose(logits, run_torch(model, batch).logits, **EXACT)


def test_one_reader_gives_the_first_state(tmp_path):
    backbone, batch = new_backbone("modernbert"), batch_for("modernbert")
    first = backbone(batch, readers=1)
    assert_allclose(first, np.asarray(backbone(batch))[:, :1], atol=1e-6)


def test_packed_tokens_give_the_states_of_padded_ones():
    backbone = new_backbone("modernbert", local_attention=6)
    batch = batch_for("modernbert")
    expected = np.asarray(backbone(batch))
    with packed_tokens():
        states = np.asarray(backbone(batch))
    real = batch["attention_mask"].astype(bool)
    assert_allclose(states[real], expected[real], atol=1e-6)


def test_the_config_of_the_first_checkpoints_is_read(tmp_path):
    """As on the hub since 2024: thetas and the rhythm of full blocks by number."""
    model = torch_model("modernbert", num_hidden_layers=4)
    save_torch(model, tmp_path)
    path = tmp_path / "config.json"
    content = json.loads(path.read_text())
    for field in ("layer_types", "rope_parameters"):
        del content[field]
    content |= {"global_rope_theta": 50.0, "local_rope_theta": 20.0}
    path.write_text(json.dumps(content | {"global_attn_every_n_layers": 2}))
    config = Backbone.from_pretrained(tmp_path).config
    assert config.layer_types == (FULL, LOCAL, FULL, LOCAL)
    assert (config.full_theta, config.local_theta) == (50.0, 20.0)


def test_a_pretrained_head_is_kept_for_a_new_classifier(tmp_path):
    model = torch_model("modernbert", AutoModelForMaskedLM)
    _, head, report = load_classifier(save_torch(model, tmp_path), 3)
    assert set(report.fresh) == {"logits/kernel", "logits/bias"}
    assert_allclose(
        np.asarray(head.pooler.kernel).T, model.head.dense.weight.detach(), rtol=0
    )


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"rope_parameters": {FULL: {"rope_type": "yarn"}}}, "yarn"),
        ({"layer_types": [FULL, "linear_attention"]}, "layer_types"),
        ({"layer_types": "full_attention"}, "layer_types"),
        ({"layer_types": [FULL]}, "1 blocks, but there are 2"),
        ({"rope_parameters": [1]}, "rope_parameters"),
        ({"rope_parameters": {LOCAL: 3}}, "rope_parameters"),
        ({"classifier_pooling": "max"}, "classifier_pooling"),
        ({"norm_bias": "no"}, "norm_bias"),
    ],
)
def test_what_the_formula_does_not_cover_is_refused(change, told, tmp_path):
    save_torch(torch_model("modernbert"), tmp_path)
    path = tmp_path / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(CheckpointError, match=told):
        pretrained.read_config(tmp_path)


def test_new_weights_are_cut_off():
    backbone = new_backbone("modernbert", hidden_size=64, num_heads=4)
    table = np.asarray(backbone.embedding.token_embedding.embeddings)
    assert np.abs(table).max() <= 2 * 0.02
    assert_allclose(table.std(), 0.88 * 0.02, rtol=0.05)  # Of N(0, 1) within 2: 0.880.
    deep = np.asarray(backbone.block_0.attention.o_proj.kernel)
    assert_allclose(deep.std(), 0.88 * 0.02 / 2, rtol=0.1)  # 1 / sqrt(2 layers x 2)


def test_states_of_local_blocks_do_not_reach_far():
    backbone = new_backbone(
        "modernbert", layer_types=(LOCAL,), num_layers=1, local_attention=4
    )
    batch = {"input_ids": np.arange(5, 25)[None].astype("int32")}
    changed = {"input_ids": batch["input_ids"].copy()}
    changed["input_ids"][0, 10] = 50
    before, after = (np.asarray(backbone(one))[0] for one in (batch, changed))
    moved = np.flatnonzero(np.abs(before - after).max(-1))
    assert moved.tolist() == [8, 9, 10, 11, 12]
