"""What DeBERTa alone has: distances in buckets, their terms, forms of its config."""

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal
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
from transformers.models.deberta_v2.modeling_deberta_v2 import (
    make_log_bucket_position,
)

from kerasft._errors import CheckpointError
from kerasft.layers.disentangled import distance_rows, shifted
from kerasft.layers.packing import packed_tokens
from kerasft.models import Backbone


@pytest.mark.parametrize(
    ("buckets", "farthest"), [(256, 512), (8, 40), (32, 128), (256, 1024), (64, 4096)]
)
def test_every_distance_has_the_row_it_has_in_torch(buckets, farthest):
    distances = torch.arange(-2 * farthest, 2 * farthest + 1)
    expected = make_log_bucket_position(distances, buckets, farthest).to(torch.long)
    expected = torch.clamp(expected + buckets, 0, 2 * buckets - 1)
    assert_array_equal(distance_rows(buckets, farthest), expected)


@pytest.mark.parametrize(("rows", "length"), [(1, 1), (1, 6), (3, 6), (6, 6)])
def test_scores_by_distance_come_into_place(rows, length):
    by_distance = np.random.default_rng(0).normal(size=(2, 3, rows, 2 * length - 1))
    result = np.asarray(shifted(by_distance, length))
    for row in range(rows):
        for key in range(length):
            expected = by_distance[..., row, key - row + length - 1]
            assert_allclose(result[..., row, key], expected, rtol=1e-6)


@pytest.mark.parametrize(
    "settings",
    [
        {"pos_att_type": ["c2p"]},
        {"pos_att_type": "p2c"},
        {"pos_att_type": None},
        {"position_buckets": -1},
        {"position_buckets": -1, "max_relative_positions": 6},
        {"norm_rel_ebd": "none"},
        {"position_biased_input": True, "type_vocab_size": 2},
        {"pooler_hidden_act": "tanh", "layer_norm_eps": 1e-3},
    ],
    ids=str,
)
def test_logits_equal_torch_with(settings, tmp_path):
    model, batch = torch_classifier("deberta-v2", **settings), batch_for("deberta-v2")
    backbone, head, report = load_classifier(save_torch(model, tmp_path), 3)
    assert report.fresh == report.ignored == ()
    assert_allclose(head(backbone(batch)), run_torch(model, batch).logits, **EXACT)


def test_the_poolers_own_dropout_comes_first(tmp_path):
    model = torch_classifier("deberta-v2", pooler_dropout=0.25, cls_dropout=None)
    _, head, _ = load_classifier(save_torch(model, tmp_path), 3)
    assert (head.first_dropout.rate, head.dropout.rate) == (0.25, 0.1)


def test_one_reader_gives_the_first_state():
    backbone, batch = new_backbone("deberta-v2"), batch_for("deberta-v2")
    first = backbone(batch, readers=1)
    assert_allclose(first, np.asarray(backbone(batch))[:, :1], atol=1e-6)


def test_packed_tokens_give_the_states_of_padded_ones():
    backbone, batch = new_backbone("deberta-v2"), batch_for("deberta-v2")
    expected = np.asarray(backbone(batch))
    with packed_tokens():
        states = np.asarray(backbone(batch))
    real = batch["attention_mask"].astype(bool)
    assert_allclose(states[real], expected[real], atol=1e-6)


@pytest.mark.parametrize(
    ("setting", "told"),
    [
        ({"share_att_key": False}, "share_att_key"),
        ({"conv_kernel_size": 3}, "conv_kernel_size"),
        ({"pos_att_type": ["c2p", "p2p"]}, "position_terms|pos_att_type"),
    ],
)
def test_what_the_formula_does_not_cover_is_refused(setting, told, tmp_path):
    folder = save_torch(torch_model("deberta-v2", **setting), tmp_path)
    with pytest.raises(CheckpointError, match=told):
        Backbone.from_pretrained(folder)
