"""Adapters of Hugging Face's peft, loaded here, trained here, and ours loaded there."""

import json
import warnings

import pytest
from adapted_models import (
    EXACT,
    FAMILIES,
    assert_same_tensors,
    batch_for,
    loaded,
    logits_of,
    our_steps,
    peft,
    reopened,
    saved_base,
    targets_of,
    tensors_of,
    torch_logits,
    torch_steps,
    with_peft,
)
from numpy.testing import assert_allclose

import kerasft as kft


def lora(family, **settings):
    settings = {
        "r": 4,
        "lora_alpha": 6,
        "target_modules": targets_of(family),
    } | settings
    return peft.LoraConfig(task_type="SEQ_CLS", **settings)


def ia3(family):
    if family != "distilbert":
        return peft.IA3Config(task_type="SEQ_CLS")
    return peft.IA3Config(  # peft has no defaults for it.
        task_type="SEQ_CLS",
        target_modules=["k_lin", "v_lin", "ffn.lin2"],
        feedforward_modules=["ffn.lin2"],
    )


def adalora(family):
    return peft.AdaLoraConfig(
        task_type="SEQ_CLS",
        init_r=6,
        target_r=3,
        total_step=30,
        tfinal=5,
        target_modules=targets_of(family),
    )


METHODS = {
    "lora": lora,
    "rslora": lambda family: lora(family, use_rslora=True),
    "biases": lambda family: lora(family, bias="all"),
    "patterns": lambda family: lora(
        family,
        rank_pattern={targets_of(family)[-1]: 2},
        alpha_pattern={"0.*" + targets_of(family)[-1]: 3},
    ),
    "dora": lambda family: lora(family, use_dora=True),
    "adalora": adalora,
    "ia3": ia3,
}
REPEATS = ("rslora", "patterns")  # On BERT and GPT-2 they are tried each time.
CASES = [
    pytest.param(
        (family, method),
        marks=pytest.mark.slow
        if method in REPEATS and family not in ("bert", "gpt2")
        else (),
    )
    for family in FAMILIES
    for method in METHODS
]


class Case:
    """A method on a family: a base, peft's adapter, and what torch makes of both."""

    def __init__(self, family, method, folder):
        self.family, self.method, self.folder = family, method, folder
        self.base, self.theirs = folder / "base", folder / "theirs"
        self.batch = batch_for(family)
        model = saved_base(family, self.base)
        self.model_class = type(model)
        self.plain = torch_logits(model, self.batch)
        self.adapted = with_peft(model, METHODS[method](family))
        self.adapted.save_pretrained(self.theirs)
        self.logits = torch_logits(self.adapted, self.batch)


@pytest.fixture(scope="module", params=CASES, ids="-".join)
def case(request, tmp_path_factory):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return Case(*request.param, tmp_path_factory.mktemp("case"))


def test_an_adapter_of_peft_gives_the_same_logits_here(case):
    task = loaded(case.base, case.theirs)
    assert abs(case.logits - case.plain).max() > 1e-3
    assert_allclose(logits_of(task, case.batch), case.logits, **EXACT)


def test_an_adapter_of_ours_gives_the_same_logits_in_peft(case, tmp_path):
    loaded(case.base, case.theirs).save_adapter(tmp_path / "ours")
    assert_same_tensors(tmp_path / "ours", case.theirs)
    theirs = reopened(case.model_class, case.base, tmp_path / "ours")
    assert_allclose(torch_logits(theirs, case.batch), case.logits, **EXACT)


def test_our_config_says_what_pefts_does(case, tmp_path):
    loaded(case.base, case.theirs).save_adapter(tmp_path / "ours")
    ours, theirs = (
        json.loads((folder / "adapter_config.json").read_text())
        for folder in (tmp_path / "ours", case.theirs)
    )
    assert ours.keys() == theirs.keys()
    told_otherwise = {"base_model_name_or_path", "modules_to_save"}
    if case.method in ("patterns", "ia3"):
        # Names in full where peft was given patterns or its own defaults.
        told_otherwise |= {"rank_pattern", "alpha_pattern", "target_modules"}
        told_otherwise |= {"feedforward_modules", "r", "lora_alpha", "fan_in_fan_out"}
    for key in ours.keys() - told_otherwise:
        mine, other = (
            sorted(found[key]) if isinstance(found[key], list) else found[key]
            for found in (ours, theirs)
        )
        assert mine == other, key


def test_three_steps_move_the_weights_as_in_torch(case, tmp_path):
    task = loaded(case.base, case.theirs)
    our_steps(task, case.batch, 3, 0.1)
    task.save_adapter(tmp_path / "ours")
    theirs = reopened(case.model_class, case.base, case.theirs, is_trainable=True)
    after = theirs.base_model.update_and_allocate if case.method == "adalora" else None
    torch_steps(theirs, case.batch, 3, 0.1, after)
    theirs.save_pretrained(tmp_path / "theirs")
    moved = max(
        abs(tensor - tensors_of(tmp_path / "theirs")[key]).max()
        for key, tensor in tensors_of(case.theirs).items()
        if tensor.shape == tensors_of(tmp_path / "theirs")[key].shape
    )
    assert moved > 1e-3
    assert_same_tensors(tmp_path / "ours", tmp_path / "theirs")


def test_merged_is_the_same_and_unmerged_to_the_last_bit(case):
    task = loaded(case.base, case.theirs)
    weights = {id(w): w.numpy() for w in task.backbone.weights}
    task.merge_adapter()
    assert_allclose(logits_of(task, case.batch), case.logits, **EXACT)
    task.unmerge_adapter()
    assert all((w.numpy() == weights[id(w)]).all() for w in task.backbone.weights)
    assert_allclose(logits_of(task, case.batch), case.logits, **EXACT)


def test_the_merged_checkpoint_is_a_plain_one_for_transformers(case, tmp_path):
    task = loaded(case.base, case.theirs)
    task.save_pretrained(tmp_path / "merged")
    merged = case.model_class.from_pretrained(tmp_path / "merged").eval()
    assert_allclose(torch_logits(merged, case.batch), case.logits, **EXACT)
    assert task.active_adapter == "default"
    assert_allclose(logits_of(task, case.batch), case.logits, **EXACT)


@pytest.mark.parametrize("family", ["bert", "roberta", "distilbert", "gpt2"])
def test_bitfit_is_a_file_that_peft_loads_exactly(family, tmp_path):
    model = saved_base(family, tmp_path / "base")
    task, batch = loaded(tmp_path / "base"), batch_for(family)
    task.add_adapter(kft.BitFit())
    our_steps(task, batch, 3, 0.1)
    task.save_adapter(tmp_path / "ours")
    theirs = reopened(type(model), tmp_path / "base", tmp_path / "ours")
    assert_allclose(torch_logits(theirs, batch), logits_of(task, batch), **EXACT)
    for name, parameter in model.named_parameters():
        head = name.startswith(("classifier", "score", "pre_classifier"))
        parameter.requires_grad = name.endswith("bias") or head
    torch_steps(model, batch, 3, 0.1)
    assert_allclose(torch_logits(model, batch), logits_of(task, batch), **EXACT)


def test_bitfit_on_a_model_without_biases_says_what_to_take(tmp_path):
    saved_base("llama", tmp_path / "base")
    with pytest.raises(kft.KerasftError, match="a llama has none. Take LoRA or IA3"):
        loaded(tmp_path / "base").add_adapter(kft.BitFit())
