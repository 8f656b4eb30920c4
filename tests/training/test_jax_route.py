"""The JAX route against TensorFlow's, and several devices against one."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import jax_cases as cases
import numpy as np
import pytest

import kerasft as kft
from kerasft._errors import SettingsError

PROGRAM = Path(__file__).parent / "jax_program.py"
DEVICES = 2

needs_jax = pytest.mark.skipif(
    importlib.util.find_spec("jax") is None, reason="jax is not installed"
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Tiny tasks with heads, and adapters of them."""
    folder = tmp_path_factory.mktemp("jax_route")
    cases.save_checkpoints(folder)
    return folder


@pytest.fixture(scope="module")
def on_jax(folder, tmp_path_factory):
    """What `jax_program.py` saved."""
    output = tmp_path_factory.mktemp("found") / "found.npz"
    places = [str(PROGRAM.parents[i]) for i in (0, 1, 2)]
    environment = {
        **os.environ,
        "KERAS_BACKEND": "jax",
        "JAX_PLATFORMS": "cpu",
        "XLA_FLAGS": f"--xla_force_host_platform_device_count={DEVICES}",
        "TF_CPP_MIN_LOG_LEVEL": "3",
        "PYTHONPATH": os.pathsep.join([*places, os.environ.get("PYTHONPATH", "")]),
    }
    done = subprocess.run(
        [sys.executable, PROGRAM, folder, output],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stdout[-5000:]
    return dict(np.load(output))


@needs_jax
@pytest.mark.parametrize("adapter", [None, "lora"])
@pytest.mark.parametrize("name", cases.CURVES)
def test_twenty_steps_have_the_losses_of_tensorflow(name, adapter, folder, on_jax):
    expected = cases.curve(folder, name, adapter)
    assert len(expected) == cases.STEPS
    assert max(expected) - min(expected) > 1e-2  # Something was learnt.
    found = on_jax[f"curve/{name}/{adapter}"]
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-4)


@needs_jax
@pytest.mark.parametrize("case", cases.CASES)
def test_one_epoch_on_one_device_is_that_of_tensorflow(case, folder, on_jax):
    task, change, history = cases.run_case(folder, case)
    found = on_jax[f"none/{case}/change"]
    assert np.linalg.norm(found - change) <= 1e-4 * np.linalg.norm(change)
    found = on_jax[f"none/{case}/history"]
    np.testing.assert_allclose(found, list(history.values()), rtol=1e-4, atol=1e-6)


SPLIT = ("sgd", "micro_batches", "causal_lm")
PAIRS = [("mirrored", case) for case in cases.CASES]
PAIRS += [("model_parallel", case) for case in SPLIT] + [("model_parallel1", "sgd")]


@needs_jax
@pytest.mark.parametrize("kind, case", PAIRS)
def test_two_devices_train_as_one_does(kind, case, on_jax):
    one, two = (on_jax[f"{name}/{case}/change"] for name in ("none", kind))
    assert np.linalg.norm(one) > 1e-3
    apart = np.linalg.norm(two - one) / np.linalg.norm(one)
    assert apart <= 1e-5, apart
    one, two = (on_jax[f"{name}/{case}/history"] for name in ("none", kind))
    np.testing.assert_allclose(two, one, rtol=1e-5, atol=1e-6)


@needs_jax
@pytest.mark.parametrize("kind", ["mirrored", "model_parallel", "model_parallel1"])
def test_an_odd_number_of_rows_is_predicted_on_two_devices(kind, on_jax):
    one, two = (on_jax[f"{name}/predict"] for name in ("none", kind))
    assert one.shape == (13, 3)
    np.testing.assert_allclose(two, one, atol=1e-5)
    scores = [on_jax[f"{name}/scores"] for name in ("none", kind)]
    np.testing.assert_allclose(scores[1], scores[0], atol=1e-5)


@needs_jax
def test_devices_take_part_as_the_strategy_says(on_jax):
    whole, half = (32, 64), (32, 32)
    for kind, replicas, shard, reason in (
        ("none", 1, whole, "one device was asked for"),
        ("mirrored", 2, whole, "its share of rows"),
        ("model_parallel", 1, half, "each 2 of them share one"),
        ("model_parallel1", 2, whole, "each 1 of them share one"),
    ):
        assert on_jax[f"{kind}/replicas"] == replicas, kind
        assert tuple(on_jax[f"{kind}/shard"]) == shard, kind
        assert on_jax[f"{kind}/devices"] == (1 if kind == "none" else DEVICES), kind
        assert reason in str(on_jax[f"{kind}/reason"]), kind


@needs_jax
@pytest.mark.parametrize("way", ["dataset", "py_dataset", "generator", "arrays"])
def test_without_tensorflow_every_kind_of_batches_trains_alike(way, folder, on_jax):
    task, _, history = cases.run_case(folder, "sgd")
    np.testing.assert_allclose(on_jax[f"bare/{way}/loss"], history["loss"], atol=1e-5)
    expected = cases.flat(task.weights)
    np.testing.assert_allclose(on_jax[f"bare/{way}/weights"], expected, atol=1e-5)


@needs_jax
def test_without_tensorflow_texts_are_predicted(folder, on_jax):
    np.testing.assert_allclose(on_jax["bare/texts"], on_jax["bare/true"], atol=1e-5)
    task, _, _ = cases.run_case(folder, "sgd")
    rows = cases.rows_for("text_classifier", cases.ROWS)
    batches = task.dataset(rows, 8, max_shapes=1)
    expected = task.evaluate(batches, verbose=0)
    np.testing.assert_allclose(on_jax["bare/evaluate"], expected, rtol=1e-4)


@needs_jax
def test_two_passes_run_on_jax(on_jax):
    assert np.isfinite(on_jax["rdrop"]).all()


def test_tensorflow_does_not_split_a_model():
    with pytest.raises(SettingsError, match="KERAS_BACKEND=jax"):
        kft.strategy("model_parallel")
    with pytest.raises(SettingsError, match="split=2.*KERAS_BACKEND=jax"):
        kft.strategy("auto", split=2)
