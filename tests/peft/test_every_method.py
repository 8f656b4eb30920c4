"""The contract of methods, for every one of them on several families."""

import dataclasses
import itertools
from types import SimpleNamespace

import keras
import numpy as np
import pytest
from numpy.testing import assert_allclose
from tiny_tasks import LABELS, save_tiny_bert, tiny_rows

import kerasft as kft
from kerasft.peft import METHODS

QUICK = ("bert",)
MORE = ("gpt2", "distilbert", "albert", "modernbert", "deberta-v2", "llama")
# Settings without which a method cannot begin, or that make it quick.
SETTINGS = {
    "adalora": {"total_steps": 12},
    "pfeiffer": {"width": 16},  # Of two units with ReLU both may give nothing.
}
# Methods that a family has no place for: what the error says.
IMPOSSIBLE = {("bitfit", "llama"): "has none", ("bitfit", "modernbert"): "has none"}
IMPOSSIBLE |= {
    (kind, family): "PromptTuning or LoRA"
    for kind in ("prefix", "ptuning_v2")
    for family in ("albert", "modernbert", "deberta-v2")
}
PARTICULAR = {
    "gpt2": {"pad_token_id": 0},
    "llama": {"pad_token_id": 0, "num_kv_heads": 2},
    "modernbert": {"pad_token_id": 0},
}
EXACT = {"rtol": 0, "atol": 1e-5}
ROWS = tiny_rows(21)
CASES = [(f, m) for f in QUICK for m in METHODS if (m, f) not in IMPOSSIBLE]
CASES += [
    pytest.param((family, kind), marks=pytest.mark.slow)
    for family in MORE
    for kind in METHODS
    if (kind, family) not in IMPOSSIBLE
]


@pytest.fixture(scope="module")
def folder_of(tmp_path_factory):
    """A function: family -> folder of a tiny random model without dropout."""
    folders = {}

    def saved(family):
        if family not in folders:
            still = {"hidden_dropout": 0.0, "attention_dropout": 0.0, "num_layers": 1}
            if family == "llama":
                del still["hidden_dropout"]
            keras.utils.set_random_seed(0)
            folders[family] = tmp_path_factory.mktemp(family)
            sizes = still | PARTICULAR.get(family, {})
            save_tiny_bert(folders[family], family, **sizes)
        return folders[family]

    return saved


def method_of(kind):
    return METHODS[kind](**SETTINGS.get(kind, {}))


def opened(folder):
    keras.utils.set_random_seed(1)
    return kft.TextClassifier.from_pretrained(folder, labels=LABELS)


@pytest.fixture(scope="module", params=CASES, ids=lambda case: "-".join(case))
def trained(request, folder_of, tmp_path_factory):
    """A task with an adapter after some steps, and what was seen on the way."""
    family, kind = request.param
    task = opened(folder_of(family))
    seen = SimpleNamespace(task=task, family=family, kind=kind)
    seen.base, seen.plain = folder_of(family), logits_of(task)
    task.add_adapter(method_of(kind))
    seen.method = task._stack.named(None).method
    seen.fresh = logits_of(task)
    seen.own = {id(weight) for weight in task.trainable_variables}
    before = {id(weight): weight.numpy() for weight in task.weights}
    steps(task)
    seen.moved = {id(w) for w in task.weights if (w.numpy() != before[id(w)]).any()}
    seen.logits = logits_of(task)
    seen.folder = tmp_path_factory.mktemp("trained")
    task.save_adapter(seen.folder / "adapter")
    return seen


def logits_of(task):
    """Of one batch, without a graph."""
    inputs, _ = next(iter(task.dataset(ROWS, len(ROWS))))
    return np.asarray(task(inputs))


def steps(task, count=4):
    task.compile(kft.adamw(1e-2, total_steps=9), run_eagerly=True)
    task.begin_fit(9)
    for inputs, labels in itertools.islice(task.dataset(ROWS, 8), count):
        task.train_on_batch(inputs, labels)


def assert_it_moves(task):
    before = [weight.numpy() for weight in task.trainable_variables]
    steps(task)
    after = [weight.numpy() for weight in task.trainable_variables]
    assert all((a != b).any() for a, b in zip(before, after, strict=True))


def test_its_own_weights_and_the_head_alone_are_trained(trained):
    task = trained.task
    assert id(task.head.logits.kernel) in trained.own & trained.moved
    assert trained.own <= trained.moved
    states = {id(w) for w in task.weights if not keras.backend.is_float_dtype(w.dtype)}
    watched = {id(weight) for weight in task.adapter_default.weights}
    assert trained.moved <= trained.own | states | watched
    assert abs(trained.logits - trained.plain).max() > 1e-4


def test_a_fresh_one_changes_nothing_where_the_method_promises_that(trained):
    if trained.method.keeps_outputs:
        assert_allclose(trained.fresh, trained.plain, rtol=0, atol=1e-6)
    else:
        assert 0 < abs(trained.fresh - trained.plain).max() < 2.5  # ModernBERT's: 2.25.


def test_without_it_the_model_is_as_it_was(trained):
    with trained.task.without_adapter():
        off = logits_of(trained.task)
    assert_allclose(off, trained.plain, rtol=0, atol=1e-6)
    assert_allclose(logits_of(trained.task), trained.logits, **EXACT)


def test_saved_and_loaded_it_is_the_same_and_goes_on_moving(trained):
    again = kft.TextClassifier.from_pretrained(trained.folder / "adapter")
    assert again.labels == LABELS and not again.fresh_weights
    assert_allclose(logits_of(again), trained.logits, **EXACT)
    assert_it_moves(again)


def test_weights_of_keras_bring_it_back_and_it_goes_on_moving(trained):
    trained.task.save_weights(trained.folder / "all.weights.h5")
    again = opened(trained.base)
    again.add_adapter(trained.method)
    again.load_weights(trained.folder / "all.weights.h5")
    assert_allclose(logits_of(again), trained.logits, **EXACT)
    assert_it_moves(again)


def test_the_checkpoint_is_merged_or_the_error_says_what_to_do(trained):
    folder = trained.folder / "merged"
    if not trained.method.merges:
        with pytest.raises(kft.KerasftError, match="save_adapter"):
            trained.task.save_pretrained(folder)
        return
    trained.task.save_pretrained(folder)
    plain = kft.TextClassifier.from_pretrained(folder)
    assert_allclose(logits_of(plain), trained.logits, **EXACT)


@pytest.mark.parametrize(("kind", "family"), IMPOSSIBLE)
def test_a_family_without_a_place_for_it_says_so(folder_of, kind, family):
    task = opened(folder_of(family))
    with pytest.raises(kft.KerasftError, match=IMPOSSIBLE[kind, family]):
        task.add_adapter(method_of(kind))
    assert task.adapters == ()


@pytest.mark.parametrize("kind", METHODS)
def test_a_method_is_frozen_and_tells_what_it_was_given(kind):
    method = method_of(kind)
    assert method.kind == kind
    assert 1e-4 <= method.learning_rate <= 0.3
    with pytest.raises(dataclasses.FrozenInstanceError):
        method.modules_to_save = ("pooler",)
    given = SETTINGS.get(kind, {})
    assert all(f"{name}={value}" in str(method) for name, value in given.items())


@pytest.fixture
def task(folder_of):
    return opened(folder_of("bert"))


def test_adapters_of_one_model_are_told_apart(task):
    found = {}
    for name, method in (("one", kft.LoRA(rank=2)), ("two", kft.IA3())):
        task.add_adapter(method, name)
        steps(task)
        found[name] = logits_of(task)
    assert task.adapters == ("one", "two") and task.active_adapter == "two"
    assert abs(found["one"] - found["two"]).max() > 5e-5
    task.set_adapter("one")
    assert_allclose(logits_of(task), found["one"], **EXACT)
    task.delete_adapter("one")
    task.set_adapter("two")
    assert_allclose(logits_of(task), found["two"], **EXACT)


def test_after_the_last_one_the_whole_model_is_trained_again(task):
    plain = logits_of(task)
    task.add_adapter(kft.LoRA(rank=2))
    steps(task)
    task.delete_adapter()
    assert_allclose(logits_of(task), plain, rtol=0, atol=1e-6)
    assert all(weight.trainable for weight in task.backbone.weights)
    assert not any("adapter" in layer.name for layer in task._layers)


def test_merged_for_good_the_model_is_a_plain_one(task, tmp_path):
    task.add_adapter(kft.LoRA(rank=2))
    steps(task)
    adapted = logits_of(task)
    task.merge_adapter(forget=True)
    assert task.adapters == () and task.active_adapter is None
    assert_allclose(logits_of(task), adapted, **EXACT)
    assert_it_moves(task)


def test_compile_is_asked_for_once_adapters_have_changed(task):
    task.compile(run_eagerly=True)
    batches = task.dataset(ROWS, 8, training=True)
    task.add_adapter(kft.LoRA(rank=2))
    with pytest.raises(kft.KerasftError, match=r"Call compile\(\) again"):
        task.fit(batches, verbose=0)
    task.set_adapter(None)
    task.compile(run_eagerly=True)
    with pytest.raises(kft.KerasftError, match="No adapter is active"):
        task.fit(batches, verbose=0)
    task.set_adapter("default")
    task.merge_adapter()
    task.compile(run_eagerly=True)
    with pytest.raises(kft.KerasftError, match="is merged: call unmerge_adapter"):
        task.fit(batches, verbose=0)


def test_names_are_looked_at(task):
    task.add_adapter(kft.LoRA(rank=2), "one")
    for name, words in (("one", "already"), ("a/b", "letters, digits")):
        with pytest.raises(kft.KerasftError, match=words):
            task.add_adapter(kft.LoRA(rank=2), name)
    with pytest.raises(kft.KerasftError, match="No adapter 'two'; there are: one"):
        task.set_adapter("two")


def test_a_summary_says_what_share_is_trained(task, capsys):
    task.add_adapter(kft.LoRA(rank=2))
    told = []
    task.summary(print_fn=told.append)
    task.summary()  # To the terminal.
    assert told[-1] in capsys.readouterr().out
    shares = task.adapter_shares
    assert shares.trained == sum(w.numpy().size for w in task.trainable_variables)
    assert shares.head == 32 * 32 + 32 + 3 * 32 + 3
    assert told[-1].startswith("LoRA(rank=2): trained ")
    assert f"{shares.share:.3%}" in told[-1]
