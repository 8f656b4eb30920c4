"""Several LoRAs made into one, compared with peft's `add_weighted_adapter`."""

import warnings

import numpy as np
import pytest
import torch
from adapted_models import (
    EXACT,
    batch_for,
    loaded,
    logits_of,
    our_steps,
    peft,
    saved_base,
    torch_logits,
    with_peft,
)
from numpy.testing import assert_allclose

import kerasft as kft
from kerasft.peft.combine import WAYS, combined

WEIGHTS = (0.7, -0.4)
DRAWN = [way for way in WAYS if "dare" in way]


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    """Two LoRAs of peft on one base, both in torch and here, without a head."""
    folder = tmp_path_factory.mktemp("pair")
    model = saved_base("bert", folder / "base")
    config = peft.LoraConfig(r=3, lora_alpha=6, target_modules=["query", "value"])
    theirs = with_peft(model, config)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs.add_adapter("other", config)
        theirs.set_adapter("other")
        for parameter in theirs.parameters():
            if parameter.requires_grad:
                parameter.data.add_(0.2 * torch.randn_like(parameter))
        theirs.save_pretrained(folder)
    task = kft.TextClassifier.from_pretrained(folder / "base")
    # The head of a classifier is trained with an adapter of ours; peft's have none.
    for name, place in (("default", folder), ("other", folder / "other")):
        task.load_adapter(place, name, strict=False)
    return theirs, task


@pytest.mark.parametrize("way", [way for way in WAYS if way not in DRAWN])
def test_a_way_gives_what_peft_makes_of_it(pair, way):
    theirs, task = pair
    batch = batch_for("bert")
    options = {} if way in ("linear", "svd", "cat") else {"density": 0.6}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs.add_weighted_adapter(
            ["default", "other"], list(WEIGHTS), way, combination_type=way, **options
        )
        theirs.set_adapter(way)
    task.combine_adapters(["default", "other"], WEIGHTS, way, way=way, **options)
    assert_allclose(logits_of(task, batch), torch_logits(theirs, batch), **EXACT)
    assert task.active_adapter == way


def test_cat_is_exactly_the_weighted_sum_of_the_changes(pair):
    _, task = pair
    parts = [task._stack.named(name).parts for name in ("default", "other")]
    factors = [part[0].layer.factors() for part in parts]
    scales = np.array([part[0].layer.scale for part in parts])
    first, second = combined(factors, scales, WEIGHTS, "cat", None, None, 0)
    wanted = sum(
        w * s * (a @ b) for w, s, (a, b) in zip(WEIGHTS, scales, factors, strict=True)
    )
    assert_allclose(first @ second, wanted, **EXACT)


@pytest.mark.parametrize("way", DRAWN)
def test_dare_keeps_the_mean_and_is_seeded(way):
    random = np.random.default_rng(0)
    factors = [(random.normal(size=(40, 4)), random.normal(size=(4, 30)))]
    arguments = (factors, np.ones(1), [1.0], way, 4, 0.5)
    one, again = (combined(*arguments, 3) for _ in range(2))
    assert all((a == b).all() for a, b in zip(one, again, strict=True))
    assert (combined(*arguments, 4)[0] != one[0]).any()
    whole = factors[0][0] @ factors[0][1]
    made = np.mean([np.matmul(*combined(*arguments, s)) for s in range(200)], axis=0)
    assert np.corrcoef(made.ravel(), whole.ravel())[0, 1] > 0.9


def test_heads_move_by_the_weighted_sum_of_their_moves(tmp_path):
    saved_base("bert", tmp_path)
    task, batch = loaded(tmp_path), batch_for("bert")
    kernel = task.head.logits.kernel
    start = kernel.numpy()
    trained = {}
    for name, rate in (("one", 0.1), ("two", 0.3)):
        task.add_adapter(kft.LoRA(rank=2), name)
        our_steps(task, batch, 2, rate)
        trained[name] = kernel.numpy() - start
    task.combine_adapters(["one", "two"], [0.5, 2.0])
    wanted = start + 0.5 * trained["one"] + 2.0 * trained["two"]
    assert_allclose(kernel.numpy(), wanted, **EXACT)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"way": "sum"}, "way is 'sum'; known: cat, svd"),
        ({"way": "ties"}, "density is None; ties needs the share"),
        ({"weights": [1.0]}, "one weight for each"),
        (
            {"names": ["one", "wide"], "way": "linear"},
            r"of one rank; these have \[2, 4]",
        ),
        ({"names": ["one", "keys"]}, "differ in their targets"),
        ({"names": ["one", "factors"]}, "not LoRAs: adapter_factors"),
        ({"names": ["one", "nine"]}, "No adapter 'nine'"),
    ],
)
def test_adapters_that_do_not_go_together_are_refused(tmp_path, change, words):
    saved_base("bert", tmp_path)
    task = loaded(tmp_path)
    methods = {
        "one": kft.LoRA(rank=2),
        "two": kft.LoRA(rank=2),
        "wide": kft.LoRA(rank=4),
        "keys": kft.LoRA(rank=2, targets=("key",)),
        "factors": kft.IA3(),
    }
    for name, method in methods.items():
        task.add_adapter(method, name)
    given = {"names": ["one", "two"], "weights": [0.5, 0.5]} | change
    with pytest.raises(kft.KerasftError, match=words):
        task.combine_adapters(**given)
    assert task.adapters == tuple(methods)
