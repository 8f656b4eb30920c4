"""The contract of a model family, for every entry of FAMILIES."""

import dataclasses

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose
from tiny_encoders import (
    DECODERS,
    EXACT,
    assert_same_states,
    batch_for,
    load_classifier,
    new_backbone,
    rewrite,
    run_torch,
    save_torch,
    torch_classifier,
    torch_model,
)
from transformers import AutoModel, AutoModelForSequenceClassification

from kerasft.checkpoints import names
from kerasft.models import FAMILIES, Backbone, pretrained


@pytest.fixture(params=FAMILIES)
def model_type(request):
    return request.param


def test_hidden_states_equal_torch(model_type, tmp_path):
    model, batch = torch_model(model_type), batch_for(model_type)
    backbone = Backbone.from_pretrained(save_torch(model, tmp_path))
    expected = run_torch(model, batch).last_hidden_state
    assert_same_states(backbone(batch), expected, batch["attention_mask"])


def test_hidden_states_equal_torch_with_ids_alone(model_type, tmp_path):
    model = torch_model(model_type)
    batch = {"input_ids": batch_for(model_type)["input_ids"][:1]}
    backbone = Backbone.from_pretrained(save_torch(model, tmp_path))
    expected = run_torch(model, batch).last_hidden_state
    assert_same_states(backbone(batch), expected, np.ones((1, 17)))


def test_explicit_positions_equal_torch(model_type, tmp_path):
    model, batch = torch_model(model_type), batch_for(model_type)
    batch.pop("token_type_ids", None)
    batch["position_ids"] = np.tile(np.arange(20, 3, -1), (3, 1)).astype("int32")
    backbone = Backbone.from_pretrained(save_torch(model, tmp_path))
    expected = run_torch(model, batch).last_hidden_state
    assert_same_states(backbone(batch), expected, batch["attention_mask"])


def test_packed_rows_equal_the_rows_alone(model_type, tmp_path):
    model, batch = torch_model(model_type), batch_for(model_type)
    backbone = Backbone.from_pretrained(save_torch(model, tmp_path))
    alone = backbone(batch)
    first = 2 if backbone.config.positions_after_padding else 0
    lengths = batch["attention_mask"].sum(1)
    cut = [(row, slice(0, length)) for row, length in enumerate(lengths)]

    def pack(rows, fill):
        row = np.full((1, 40), fill, "int32")
        row[0, : lengths.sum()] = np.concatenate(rows)
        return row

    packed = {
        "input_ids": pack([batch["input_ids"][at] for at in cut], 0),
        "sequence_ids": pack([[i + 1] * n for i, n in enumerate(lengths)], 0),
        "position_ids": pack([np.arange(n) + first for n in lengths], 0),
    }
    if "token_type_ids" in batch:
        types = [batch["token_type_ids"][at] for at in cut]
        packed["token_type_ids"] = pack(types, 0)
    together = np.asarray(backbone(packed))[0]
    assert np.isfinite(together).all()
    expected = np.concatenate([np.asarray(alone)[at] for at in cut])
    assert_allclose(together[: lengths.sum()], expected, **EXACT)


def test_packed_rows_without_positions_are_refused(model_type):
    backbone = new_backbone(model_type)
    ids = np.ones((1, 4), "int32")
    with pytest.raises(ValueError, match="position_ids"):
        backbone({"input_ids": ids, "sequence_ids": ids})


def test_name_rows_name_every_weight(model_type):
    backbone = new_backbone(model_type)
    head = backbone.family.heads["text_classifier"].build(backbone.config, 3)
    keys = [
        key for key, _ in pretrained.named_tensors(backbone, "text_classifier", head)
    ]
    assert len(keys) == len(set(keys)) == len(backbone.weights) + len(head.weights)


def test_two_new_layers_of_one_shape_differ(model_type):
    backbone = new_backbone(model_type)
    kernels = [np.asarray(w) for w in backbone.weights if w.name == "kernel"]
    pairs = [
        (one, other)
        for i, one in enumerate(kernels)
        for other in kernels[i + 1 :]
        if one.shape == other.shape
    ]
    assert pairs
    assert all(np.abs(one - other).max() > 1e-3 for one, other in pairs)
    table = np.asarray(backbone.embedding.token_embedding.embeddings)
    assert_allclose(table.std(), 0.02, rtol=0.15)  # ModernBERT's is cut off.


def test_a_saved_new_backbone_opens_in_torch(model_type, tmp_path):
    backbone, batch = new_backbone(model_type), batch_for(model_type)
    backbone.save_pretrained(tmp_path / "saved")
    model, report = AutoModel.from_pretrained(
        tmp_path / "saved", output_loading_info=True
    )
    assert not report["unexpected_keys"]
    assert all(key.startswith("pooler.") for key in report["missing_keys"])
    expected = run_torch(model.eval(), batch).last_hidden_state
    assert_same_states(backbone(batch), expected, batch["attention_mask"])


def test_torch_classifiers_give_the_same_logits_here(model_type, tmp_path):
    model, batch = torch_classifier(model_type), batch_for(model_type)
    backbone, head, report = load_classifier(save_torch(model, tmp_path), 3)
    assert report.fresh == report.ignored == ()
    logits = head(backbone(batch), attention_mask=batch["attention_mask"])
    assert_allclose(logits, run_torch(model, batch).logits, **EXACT)


def test_our_classifiers_give_the_same_logits_in_torch(model_type, tmp_path):
    backbone, batch = new_backbone(model_type), batch_for(model_type)
    head = backbone.family.heads["text_classifier"].build(backbone.config, 3)
    config = dataclasses.replace(
        backbone.config,
        labels=("bad", "fair", "good"),
        problem_type="single_label_classification",
    )
    pretrained.write_model(tmp_path, backbone, config, "text_classifier", head)
    model, report = AutoModelForSequenceClassification.from_pretrained(
        tmp_path, output_loading_info=True
    )
    assert not report["missing_keys"] and not report["unexpected_keys"]
    assert model.config.id2label == {0: "bad", 1: "fair", 2: "good"}
    assert model.config.problem_type == "single_label_classification"
    logits = head(backbone(batch), attention_mask=batch["attention_mask"])
    assert_allclose(logits, run_torch(model.eval(), batch).logits, **EXACT)
    _, read_back = pretrained.read_config(tmp_path)
    assert read_back == config


@pytest.mark.parametrize("share", [None, 0.0, 0.4])
def test_the_heads_dropout_is_the_configs(model_type, share, tmp_path):
    field = DROPOUT_FIELD.get(model_type, "classifier_dropout")
    if share is None and model_type in DROPOUT_FIELD:
        pytest.skip("has no unset form")
    if model_type in DECODERS:
        pytest.skip("has no dropout before a text's logits")
    model = torch_classifier(model_type, **{field: share})
    family, config = pretrained.read_config(save_torch(model, tmp_path))
    head = family.heads["text_classifier"].build(config, 3)
    assert head.dropout.rate == (0.1 if share is None else share)
    comes_first = model_type in ("roberta", "xlm-roberta", "electra")
    if hasattr(head, "first_dropout"):
        assert head.first_dropout.rate == (head.dropout.rate if comes_first else 0)


def test_dropout_sits_where_torch_has_it(model_type):
    shares = {"hidden_dropout": 0.3, "attention_dropout": 0.2}
    if model_type == "gpt2":
        shares["projection_dropout"] = 0.3
    backbone = new_backbone(model_type, **shares)
    block = backbone.block_0
    if model_type in DECODERS and model_type != "gpt2":
        assert block.attention.attention_dropout.rate == 0.2
        rates = [backbone.embedding.dropout.rate, block.attention.dropout.rate]
        assert rates == [0, 0]
        return
    assert backbone.embedding.dropout.rate == 0.3
    no_mlp_dropout = model_type in ("albert", "modernbert")
    assert block.mlp.dropout.rate == (0 if no_mlp_dropout else 0.3)
    assert block.attention.attention_dropout.rate == 0.2
    after_attention = {"distilbert": 0, "modernbert": 0.2}.get(model_type, 0.3)
    assert block.attention.dropout.rate == after_attention


def test_gradients_equal_torch(model_type, tmp_path):
    tf = pytest.importorskip("tensorflow")
    model, batch = torch_classifier(model_type), batch_for(model_type)
    backbone, head, _ = load_classifier(save_torch(model, tmp_path), 3)
    model(
        **{k: torch.tensor(v) for k, v in batch.items()}
    ).logits.square().sum().backward()
    expected = {name: p.grad.numpy() for name, p in model.named_parameters()}
    weights = pretrained.weights_of(backbone)
    with tf.GradientTape() as tape:
        mask = batch["attention_mask"]
        loss = tf.reduce_sum(head(backbone(batch), attention_mask=mask) ** 2)
    gradients = tape.gradient(loss, [weight.value for weight in weights.values()])
    layers = names.expand(backbone.family.rows, backbone.config.num_blocks)
    largest = max(np.abs(gradient).max() for gradient in expected.values())
    for path, gradient in zip(weights, gradients, strict=True):
        theirs = expected[names.key_of(path, layers)]
        # GPT-2's kernels lie as ours do.
        turned = path.endswith("kernel") and model_type != "gpt2"
        theirs = theirs.T if turned else theirs
        exact = 1e-5 * max(np.abs(theirs).max(), 1e-2 * largest)
        gradient = np.asarray(tf.convert_to_tensor(gradient))
        assert_allclose(gradient, theirs, rtol=0, atol=exact, err_msg=path)


def test_old_spellings_of_norms_load(model_type, tmp_path):
    model, batch = torch_model(model_type), batch_for(model_type)
    save_torch(model, tmp_path)
    rewrite(
        tmp_path,
        lambda key: key.replace("Norm.weight", "Norm.gamma").replace(
            "Norm.bias", "Norm.beta"
        ),
    )
    expected = run_torch(model, batch).last_hidden_state
    states = Backbone.from_pretrained(tmp_path)(batch)
    assert_same_states(states, expected, batch["attention_mask"])


def test_a_prefix_may_be_there_or_not(model_type, tmp_path):
    batch, prefix = batch_for(model_type), FAMILIES[model_type].prefix
    save_torch(torch_classifier(model_type), tmp_path)
    expected = np.asarray(Backbone.from_pretrained(tmp_path)(batch))
    rewrite(tmp_path, lambda key: key.removeprefix(prefix))
    assert_allclose(Backbone.from_pretrained(tmp_path)(batch), expected, rtol=0)
    save_torch(torch_model(model_type), tmp_path / "plain")
    expected = np.asarray(Backbone.from_pretrained(tmp_path / "plain")(batch))
    rewrite(tmp_path / "plain", lambda key: prefix + key)
    assert_allclose(
        Backbone.from_pretrained(tmp_path / "plain")(batch), expected, rtol=0
    )


def test_a_plain_backbone_gives_a_new_head(model_type, tmp_path):
    _, head, report = load_classifier(save_torch(torch_model(model_type), tmp_path), 5)
    new = {"logits/kernel", "logits/bias"}
    if model_type in DECODERS:
        assert set(report.fresh) == {"logits/kernel"}
        return
    # These poolers were pretrained with their backbones.
    if model_type not in ("albert", "bert"):
        new |= {"pooler/kernel", "pooler/bias"}
    if model_type == "modernbert":
        new = new - {"pooler/bias"} | {"pooler_norm/gamma"}
    assert set(report.fresh) == new
    assert not np.asarray(head.logits.bias).any()


def test_another_count_of_labels_is_refused_with_both(model_type, tmp_path):
    folder = save_torch(torch_classifier(model_type), tmp_path)
    with pytest.raises(ValueError, match=r"(?s)\(3, 32\).*\(5, 32\).*new head"):
        load_classifier(folder, 5)
    _, head, report = load_classifier(folder, 5, new_layers=("logits",))
    assert set(report.fresh) == {f"logits/{w.name}" for w in head.logits.weights}
    assert head.logits.units == 5


def test_half_a_head_is_refused(model_type, tmp_path):
    if model_type in DECODERS:
        pytest.skip("has a head of one weight")
    save_torch(torch_classifier(model_type), tmp_path)
    rewrite(tmp_path, lambda key: None if key == LAST_BIAS[model_type] else key)
    with pytest.raises(ValueError, match=LAST_BIAS[model_type]):
        load_classifier(tmp_path, 3)


# What a head's dropout is called, where it cannot be unset.
DROPOUT_FIELD = {
    "albert": "classifier_dropout_prob",
    "deberta-v2": "cls_dropout",
    "distilbert": "seq_classif_dropout",
    "modernbert": "classifier_dropout",
}

LAST_BIAS = {
    "albert": "classifier.bias",
    "bert": "classifier.bias",
    "deberta-v2": "classifier.bias",
    "distilbert": "classifier.bias",
    "electra": "classifier.out_proj.bias",
    "modernbert": "classifier.bias",
    "roberta": "classifier.out_proj.bias",
    "xlm-roberta": "classifier.out_proj.bias",
}
