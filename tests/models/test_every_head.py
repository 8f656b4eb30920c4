"""The contract of heads, for every family and every head that it has."""

import dataclasses

import numpy as np
import pytest
from numpy.testing import assert_allclose
from tiny_encoders import (
    EXACT,
    batch_for,
    new_backbone,
    rewrite,
    run_torch,
    save_torch,
    torch_model,
)
from transformers import (
    AutoModelForCausalLM,
    AutoModelForMaskedLM,
    AutoModelForMultipleChoice,
    AutoModelForPreTraining,
    AutoModelForQuestionAnswering,
    AutoModelForSequenceClassification,
    AutoModelForTokenClassification,
)

from kerasft._errors import CheckpointError
from kerasft.checkpoints.tensors import TensorReader
from kerasft.models import FAMILIES, pretrained

AUTO = {
    "text_classifier": AutoModelForSequenceClassification,
    "token_classifier": AutoModelForTokenClassification,
    "question_answerer": AutoModelForQuestionAnswering,
    "multiple_choice": AutoModelForMultipleChoice,
    "masked_lm": AutoModelForMaskedLM,
    "causal_lm": AutoModelForCausalLM,
    "pretraining": AutoModelForPreTraining,
    "replaced_token_detection": AutoModelForPreTraining,
}
OVER_VOCABULARY = ("masked_lm", "causal_lm", "pretraining")
SIZES = {"text_classifier": 3, "token_classifier": 3, "question_answerer": 2}
CASES = [
    (family, head)
    for family in FAMILIES
    for head in FAMILIES[family].heads
    if head in AUTO  # `transformers` has none for relations.
]


@pytest.fixture(params=CASES, ids="-".join)
def case(request):
    return request.param


def size_of(head_name, config):
    if head_name in OVER_VOCABULARY:
        return config.vocab_size
    return SIZES.get(head_name, 1)


def torch_logits(model, head_name, batch):
    """Logits as our heads lay them out."""
    if head_name == "multiple_choice":
        one_row = {key: value[None] for key, value in batch.items()}
        return run_torch(model, one_row).logits.numpy().reshape(-1, 1)
    outputs = run_torch(model, batch)
    if head_name == "question_answerer":
        both = outputs.start_logits.numpy(), outputs.end_logits.numpy()
        return np.stack(both, axis=-1)
    if head_name == "pretraining":
        pair = getattr(outputs, "seq_relationship_logits", None)
        pair = outputs.sop_logits if pair is None else pair
        return outputs.prediction_logits.numpy(), pair.numpy()
    return outputs.logits.numpy()


def our_logits(backbone, head, head_name, batch):
    hidden = backbone(batch, readers=head.readers)
    if head_name in ("masked_lm", "causal_lm"):
        return np.asarray(head(hidden, backbone.token_table))
    if head_name == "pretraining":
        found = head(hidden, backbone.token_table)
        return np.asarray(found["masked"]), np.asarray(found["pair"])
    logits = np.asarray(head(hidden, attention_mask=batch["attention_mask"]))
    return logits[..., 0] if head_name == "replaced_token_detection" else logits


def assert_same_logits(ours, theirs, batch):
    if isinstance(ours, tuple):
        for pair in zip(ours, theirs, strict=True):
            assert_same_logits(*pair, batch)
        return
    if ours.shape[:2] == batch["input_ids"].shape:
        # Of every token: what stands on padding does not matter.
        real = batch["attention_mask"] == 1
        ours, theirs = ours[real], theirs[real]
    assert_allclose(ours, theirs, **EXACT)


def loaded(folder, head_name):
    family, config = pretrained.read_config(folder)
    reader = TensorReader(folder)
    backbone = pretrained.empty_backbone(family, config, reader)
    head = family.heads[head_name].build(config, size_of(head_name, config))
    return backbone, head, pretrained.load_weights(reader, backbone, head_name, head)


def test_torchs_heads_give_the_same_logits_here(case, tmp_path):
    model_type, head_name = case
    labels = {"num_labels": SIZES[head_name]} if head_name in SIZES else {}
    model = torch_model(model_type, AUTO[head_name], **labels)
    batch = batch_for(model_type)
    backbone, head, report = loaded(save_torch(model, tmp_path), head_name)
    assert not report.fresh
    assert all("decoder" in key or "lm_head" in key for key in report.ignored)
    ours = our_logits(backbone, head, head_name, batch)
    assert_same_logits(ours, torch_logits(model, head_name, batch), batch)


def test_our_heads_give_the_same_logits_in_torch(case, tmp_path):
    model_type, head_name = case
    backbone, batch = new_backbone(model_type), batch_for(model_type)
    config = backbone.config
    if head_name in ("text_classifier", "token_classifier"):
        config = dataclasses.replace(config, labels=("bad", "fair", "good"))
    head = backbone.family.heads[head_name].build(config, size_of(head_name, config))
    pretrained.write_model(tmp_path, backbone, config, head_name, head)
    model, report = AUTO[head_name].from_pretrained(tmp_path, output_loading_info=True)
    assert not report["missing_keys"] and not report["unexpected_keys"]
    theirs = torch_logits(model.eval(), head_name, batch)
    assert_same_logits(our_logits(backbone, head, head_name, batch), theirs, batch)


def test_a_head_without_one_of_its_weights_is_refused(case, tmp_path):
    model_type, head_name = case
    labels = {"num_labels": SIZES[head_name]} if head_name in SIZES else {}
    model = torch_model(model_type, AUTO[head_name], **labels)
    folder = save_torch(model, tmp_path)
    family, config = pretrained.read_config(folder)
    last = dict(family.heads[head_name].rows)
    # Without its bias a layer is not whole; a lone bias can be missing alone.
    ours = ("logits", "pair/logits", "transform/norm", "decoder")
    last = next(last[name] for name in ours if name in last)
    rewrite(folder, lambda key: None if key == f"{last}.bias" else key)
    if f"{last}.bias" not in model.state_dict():
        pytest.skip("has no such weight")
    with pytest.raises(CheckpointError, match="bias"):
        loaded(folder, head_name)
