"""Adapters in graphs, under XLA, in micro batches, in half precision, in exports."""

import keras
import numpy as np
import pytest
from numpy.testing import assert_allclose
from tensorflow_or_skip import tf
from tiny_tasks import LABELS, save_tiny_bert, tiny_rows

import kerasft as kft

ROWS = tiny_rows(24)
METHODS = {
    "lora": kft.LoRA(rank=2, targets="all-linear"),
    "dora": kft.DoRA(rank=2),
    "adalora": kft.AdaLoRA(init_rank=4, target_rank=2),
    "ia3": kft.IA3(),
    "bitfit": kft.BitFit(),
}
WAYS = {
    "eager": {"run_eagerly": True},
    "graph": {"jit_compile": False},
    "xla": {"jit_compile": True},
    "micro batches": {"run_eagerly": True, "micro_batches": 3},
}
COMPARED = [(name, way) for name in ("lora", "adalora") for way in list(WAYS)[1:]]
COMPARED += [("dora", "xla"), ("ia3", "graph"), ("bitfit", "graph")]


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    keras.utils.set_random_seed(0)
    still = {"hidden_dropout": 0.0, "attention_dropout": 0.0}
    return save_tiny_bert(tmp_path_factory.mktemp("base"), num_layers=1, **still)


def adapted(base, method, **options):
    keras.utils.set_random_seed(1)
    task = kft.TextClassifier.from_pretrained(base, labels=LABELS, **options)
    task.add_adapter(method)
    return task


def trained(base, method, way):
    task = adapted(base, method)
    # A large epsilon: where the true gradient is 0, Adam would make steps of rounding.
    task.compile(kft.AdamW(1e-2, epsilon=1e-3), **way)
    batches = task.dataset(ROWS, 12, training=True, seed=1, max_shapes=1)
    task.fit(batches, epochs=2, verbose=0)
    return [weight.numpy() for weight in task.trainable_variables]


@pytest.fixture(scope="module")
def reference(base):
    """A function: name of a method -> its weights after eager steps, once each."""
    found = {}

    def steps(name):
        if name not in found:
            found[name] = trained(base, METHODS[name], WAYS["eager"])
        return found[name]

    return steps


@pytest.mark.parametrize(("name", "way"), COMPARED)
def test_each_way_of_running_takes_the_same_steps(base, reference, name, way):
    found = trained(base, METHODS[name], WAYS[way])
    for ours, theirs in zip(found, reference(name), strict=True):
        assert_allclose(ours, theirs, rtol=0, atol=2e-5)


@pytest.mark.parametrize("name", METHODS)
def test_in_half_precision_its_weights_stay_float32_and_learn(base, name):
    task = adapted(base, METHODS[name], precision="mixed_bfloat16")
    assert {w.dtype for w in task.trainable_variables} == {"float32"}
    before = [weight.numpy() for weight in task.trainable_variables]
    task.compile(kft.adamw(1e-2, total_steps=9), run_eagerly=True)
    task.begin_fit(9)
    for batch in task.dataset(ROWS, 12):
        task.train_on_batch(*batch)
    for weight, start in zip(task.trainable_variables, before, strict=True):
        assert np.isfinite(weight.numpy()).all()
        assert (weight.numpy() != start).any()


@pytest.mark.parametrize("name", ["lora", "ia3"])
def test_the_savedmodel_does_what_the_task_does_with_it(base, name, tmp_path):
    task = adapted(base, METHODS[name])
    for weight in task.trainable_variables:
        weight.assign_add(0.1 * np.random.default_rng(0).normal(size=weight.shape))
    task.export(tmp_path / "served", ROWS)
    serve = tf.saved_model.load(str(tmp_path / "served")).signatures["serving_default"]
    served = serve(text=tf.constant(ROWS.texts()))["probabilities"].numpy()
    wanted = task.probabilities(task.predict_rows(ROWS))
    assert_allclose(served, wanted, rtol=0, atol=1e-5)
    task.set_adapter(None)
    assert abs(task.probabilities(task.predict_rows(ROWS)) - served).max() > 1e-3


def test_pissa_begins_as_the_matrix_and_is_saved_as_a_plain_lora(base, tmp_path):
    method = kft.LoRA(rank=3, init="pissa")
    task = adapted(base, method)
    plain = kft.TextClassifier.from_pretrained(base, labels=LABELS)
    inputs, _ = next(iter(task.dataset(ROWS, 24)))
    plain.head.set_weights(task.head.get_weights())
    assert_allclose(task(inputs), plain(inputs), rtol=0, atol=1e-6)
    part = task._stack.named(None).parts[0].layer
    kernel = task.backbone.block_0.attention.q_proj.kernel.numpy()
    left, values, right = np.linalg.svd(kernel)
    nearest = (left[:, :3] * values[:3]) @ right[:3]
    made = part.scale * part.lora_a.numpy() @ part.lora_b.numpy()
    assert_allclose(made, nearest, rtol=0, atol=1e-5)
    for weight in task.trainable_variables:
        weight.assign_add(0.1 * np.random.default_rng(0).normal(size=weight.shape))
    task.save_adapter(tmp_path / "pissa")
    again = kft.TextClassifier.from_pretrained(tmp_path / "pissa")
    assert again._stack.named(None).method.rank == 6
    assert_allclose(again(inputs), task(inputs), rtol=0, atol=1e-5)


def test_lora_on_an_embedding_is_looked_up_and_merged(base):
    task = adapted(base, kft.LoRA(rank=2, targets=("word_embeddings",)))
    inputs, _ = next(iter(task.dataset(ROWS, 24)))
    before = np.asarray(task(inputs))
    for weight in task.trainable_variables:
        weight.assign_add(0.1 * np.random.default_rng(0).normal(size=weight.shape))
    found = np.asarray(task(inputs))
    assert abs(found - before).max() > 1e-3
    task.merge_adapter()
    assert_allclose(task(inputs), found, rtol=0, atol=1e-5)
