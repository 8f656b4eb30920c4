"""Frozen matrices in 8 or 4 bits, and LoRA that is trained on them."""

import keras
import numpy as np
import pytest
from numpy.testing import assert_allclose
from tiny_tasks import LABELS, save_tiny_bert, tiny_rows

import kerasft as kft
from kerasft.peft.quantised import MODES

ROWS = tiny_rows(21)


@pytest.fixture(params=MODES)
def quantised(request, tmp_path):
    """A task, and its logits before it was rounded."""
    keras.utils.set_random_seed(0)
    save_tiny_bert(tmp_path / "base", initializer_range=0.3, num_layers=1)
    task = kft.TextClassifier.from_pretrained(tmp_path / "base", labels=LABELS)
    logits = logits_of(task)
    task.quantize_base(request.param)
    return request.param, task, logits


def logits_of(task):
    inputs, _ = next(iter(task.dataset(ROWS, len(ROWS))))
    return np.asarray(task(inputs))


def test_rounding_changes_little_and_takes_less_memory(quantised):
    mode, task, logits = quantised
    moved = abs(logits_of(task) - logits).max() / abs(logits).max()
    assert 0 < moved < {"int8": 0.05, "int4": 0.8}[mode]
    kernel = task.backbone.block_0.mlp.up_proj._kernel
    assert kernel.dtype == "int8"
    assert kernel.shape[1] == (64 if mode == "int8" else 32)


def test_lora_learns_on_it_and_comes_back(quantised, tmp_path):
    mode, task, _ = quantised
    task.add_adapter(kft.LoRA(rank=2, targets="all-linear"))
    assert not any("int" in str(w.dtype) for w in task.trainable_weights)
    task.compile(kft.adamw(1e-2, total_steps=30), run_eagerly=True)
    batches = list(task.dataset(ROWS, 8, training=True))
    first = task.evaluate(task.dataset(ROWS, 21), verbose=0, return_dict=True)["loss"]
    for _ in range(8):
        for batch in batches:
            task.train_on_batch(*batch)
    last = task.evaluate(task.dataset(ROWS, 21), verbose=0, return_dict=True)["loss"]
    assert last < first
    task.save_adapter(tmp_path / "adapter")
    again = kft.TextClassifier.from_pretrained(tmp_path / "adapter")
    assert again.backbone.block_0.mlp.up_proj.quantization_mode == mode
    assert_allclose(logits_of(again), logits_of(task), rtol=0, atol=1e-5)


def test_what_needs_the_numbers_is_refused(quantised, tmp_path):
    mode, task, _ = quantised
    with pytest.raises(kft.KerasftError, match="cannot be trained. Add an adapter"):
        task.compile()
        task.fit(task.dataset(ROWS, 8), verbose=0)
    with pytest.raises(kft.KerasftError, match=f"quantised already .{mode}"):
        task.quantize_base("int8")
    with pytest.raises(kft.KerasftError, match="DoRA needs the numbers"):
        task.add_adapter(kft.DoRA())
    with pytest.raises(kft.KerasftError, match="take another init"):
        task.add_adapter(kft.LoRA(init="pissa"))
    assert task.adapters == ()
    task.add_adapter(kft.LoRA())
    with pytest.raises(kft.KerasftError, match="nothing can be merged"):
        task.merge_adapter()
    with pytest.raises(kft.KerasftError, match="no checkpoint any more"):
        task.save_pretrained(tmp_path / "merged")
    with pytest.raises(kft.KerasftError, match="known: int8, int4"):
        kft.TextClassifier.from_pretrained(
            tmp_path / "base", labels=LABELS
        ).quantize_base("int3")
