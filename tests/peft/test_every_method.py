"""The contract of methods, for every one of them on several families."""

import dataclasses

import keras
import numpy as np
import pytest
from numpy.testing import assert_allclose
from tiny_tasks import LABELS, save_tiny_bert, tiny_rows

import kerasft as kft
from kerasft.peft import METHODS

FAMILIES = ("bert", "distilbert", "albert", "modernbert", "deberta-v2", "gpt2", "llama")
# Settings without which a method cannot begin, or that make it quick.
SETTINGS = {"adalora": {"total_steps": 12}}
# Methods that a family has no place for: what the error says.
IMPOSSIBLE = {("bitfit", "llama"): "has none", ("bitfit", "modernbert"): "has none"}
PARTICULAR = {
    "gpt2": {"pad_token_id": 0},
    "llama": {"pad_token_id": 0, "num_kv_heads": 2},
    "modernbert": {"pad_token_id": 0},
}
EXACT = {"rtol": 0, "atol": 1e-5}
ROWS = tiny_rows(21)


@pytest.fixture(scope="module", params=FAMILIES)
def base(request, tmp_path_factory):
    family = request.param
    keras.utils.set_random_seed(0)
    folder = tmp_path_factory.mktemp(family)
    still = {"hidden_dropout": 0.0, "attention_dropout": 0.0, "num_layers": 1}
    if family == "llama":
        del still["hidden_dropout"]
    save_tiny_bert(folder, family, **still, **PARTICULAR.get(family, {}))
    return family, folder


@pytest.fixture(params=METHODS)
def adapted(request, base):
    family, folder = base
    kind = request.param
    method = METHODS[kind](**SETTINGS.get(kind, {}))
    keras.utils.set_random_seed(1)
    task = kft.TextClassifier.from_pretrained(folder, labels=LABELS)
    message = IMPOSSIBLE.get((kind, family))
    if message:
        with pytest.raises(kft.KerasftError, match=message):
            task.add_adapter(method)
        pytest.skip("the family has no place for it, and says so")
    plain = logits_of(task)
    task.add_adapter(method)
    return task, plain


def logits_of(task):
    """Of one batch, without a graph."""
    inputs, _ = next(iter(task.dataset(ROWS, len(ROWS))))
    return np.asarray(task(inputs))


def steps(task, count=4):
    task.compile(kft.adamw(1e-2, total_steps=9), run_eagerly=True)
    task.begin_fit(9)
    for inputs, labels in task.dataset(ROWS, 8).take(count):
        task.train_step((inputs, labels))


def values(layer):
    return [w.numpy() for w in layer.weights]


def test_it_trains_its_own_weights_and_the_head_alone(adapted):
    task, plain = adapted
    own = set(map(id, task.trainable_variables))
    before = {id(w): w.numpy() for w in task.weights}
    steps(task)
    moved = {id(w) for w in task.weights if (w.numpy() != before[id(w)]).any()}
    assert own & moved and {id(task.head.logits.kernel)} <= moved
    states = {id(w) for w in task.weights if not keras.backend.is_float_dtype(w.dtype)}
    watched = {id(w) for w in task.adapter_default.weights}
    assert moved <= own | states | watched
    assert abs(logits_of(task) - plain).max() > 1e-4


def test_a_fresh_one_changes_nothing(adapted):
    task, plain = adapted
    close = {"atol": 1e-6} if task.adapter_keeps_outputs else {"atol": 2.0}
    assert_allclose(logits_of(task), plain, rtol=0, **close)


def test_without_it_the_model_is_as_it_was(adapted):
    task, plain = adapted
    steps(task)
    with task.without_adapter():
        assert_allclose(logits_of(task), plain, rtol=0, atol=1e-6)
    trained = logits_of(task)
    assert abs(trained - plain).max() > 1e-4
    task.delete_adapter()
    assert_allclose(logits_of(task), plain, rtol=0, atol=1e-6)
    assert all(weight.trainable for weight in task.backbone.weights)


def test_saved_and_loaded_it_is_the_same_and_goes_on_moving(adapted, base, tmp_path):
    task, _ = adapted
    steps(task)
    task.save_adapter(tmp_path / "saved")
    again = kft.TextClassifier.from_pretrained(tmp_path / "saved")
    assert again.labels == LABELS and not again.fresh_weights
    assert_allclose(logits_of(again), logits_of(task), **EXACT)
    before = [w.numpy() for w in again.trainable_variables]
    steps(again)
    after = [w.numpy() for w in again.trainable_variables]
    assert all((a != b).any() for a, b in zip(before, after, strict=True))


def test_weights_of_keras_bring_it_back_and_it_goes_on_moving(adapted, base, tmp_path):
    task, _ = adapted
    steps(task)
    task.save_weights(tmp_path / "all.weights.h5")
    again = kft.TextClassifier.from_pretrained(base[1], labels=LABELS)
    again.add_adapter(task._stack.named(None).method)
    again.load_weights(tmp_path / "all.weights.h5")
    assert_allclose(logits_of(again), logits_of(task), **EXACT)
    before = [w.numpy() for w in again.trainable_variables]
    steps(again)
    after = [w.numpy() for w in again.trainable_variables]
    assert all((a != b).any() for a, b in zip(before, after, strict=True))


def test_the_checkpoint_is_merged_or_the_error_says_what_to_do(adapted, tmp_path):
    task, _ = adapted
    steps(task)
    if not task._stack.named(None).method.merges:
        with pytest.raises(kft.KerasftError, match="save_adapter"):
            task.save_pretrained(tmp_path / "merged")
        return
    task.save_pretrained(tmp_path / "merged")
    plain = kft.TextClassifier.from_pretrained(tmp_path / "merged")
    assert_allclose(logits_of(plain), logits_of(task), **EXACT)


def test_compile_is_asked_for_once_adapters_have_changed(adapted):
    task, _ = adapted
    task.compile(run_eagerly=True)
    task.add_adapter(kft.LoRA(rank=2), "second")
    with pytest.raises(kft.KerasftError, match=r"Call compile\(\) again"):
        task.fit(task.dataset(ROWS, 8, training=True), verbose=0)
    task.set_adapter(None)
    task.compile(run_eagerly=True)
    with pytest.raises(kft.KerasftError, match="No adapter is active"):
        task.fit(task.dataset(ROWS, 8, training=True), verbose=0)


@pytest.mark.parametrize("kind", METHODS)
def test_a_method_is_frozen_and_tells_what_it_was_given(kind):
    method = METHODS[kind](**SETTINGS.get(kind, {}))
    assert method.kind == kind
    assert 1e-4 <= method.learning_rate <= 0.1
    with pytest.raises(dataclasses.FrozenInstanceError):
        method.modules_to_save = ("pooler",)
    given = SETTINGS.get(kind, {})
    assert all(f"{name}={value}" in str(method) for name, value in given.items())


def test_adapters_of_one_model_are_told_apart(base):
    keras.utils.set_random_seed(1)
    task = kft.TextClassifier.from_pretrained(base[1], labels=LABELS)
    task.add_adapter(kft.LoRA(rank=2), "one")
    steps(task)
    one = logits_of(task)
    task.add_adapter(kft.IA3(), "two")
    steps(task)
    two = logits_of(task)
    assert task.adapters == ("one", "two") and task.active_adapter == "two"
    task.set_adapter("one")
    assert_allclose(logits_of(task), one, **EXACT)
    task.delete_adapter("one")
    task.set_adapter("two")
    assert_allclose(logits_of(task), two, **EXACT)
    assert np.abs(one - two).max() > 5e-5
