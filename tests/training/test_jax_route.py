"""The JAX route against TensorFlow's, and several devices against one."""

import functools
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
def on_tensorflow(folder):
    """A function: case -> what `jax_cases.run_case` gives here; run once."""
    return functools.cache(functools.partial(cases.run_case, folder))


@pytest.fixture(scope="module")
def parts_on_jax(folder, tmp_path_factory):
    """A function: "quick" or "slow" -> what `jax_program.py` saved; run once."""

    @functools.cache
    def found(part):
        output = tmp_path_factory.mktemp(part) / "found.npz"
        return run_program(folder, part, output)

    return found


def run_program(folder, part, output):
    places = [str(PROGRAM.parents[i]) for i in (0, 1, 2)]
    # Programs that are compiled in half of the time; they need not be fast.
    flags = "--xla_backend_optimization_level=0 --xla_cpu_use_fusion_emitters=false"
    environment = {
        **os.environ,
        "KERAS_BACKEND": "jax",
        "JAX_PLATFORMS": "cpu",
        "XLA_FLAGS": f"{flags} --xla_force_host_platform_device_count={DEVICES}",
        "TF_CPP_MIN_LOG_LEVEL": "3",
        "PYTHONPATH": os.pathsep.join([*places, os.environ.get("PYTHONPATH", "")]),
    }
    done = subprocess.run(
        [sys.executable, PROGRAM, folder, part, output],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=900,
    )
    assert done.returncode == 0, done.stdout[-5000:]
    return dict(np.load(output))


def of_each(table):
    """Parameters (part, ...) of a table of `jax_cases`; those of "slow" marked."""
    for part, entries in table.items():
        marks = pytest.mark.slow if part == "slow" else ()
        yield from (pytest.param(part, *entry, marks=marks) for entry in entries)


@pytest.fixture(scope="module")
def on_jax(parts_on_jax):
    """What the quick part saved."""
    return parts_on_jax("quick")


@needs_jax
@pytest.mark.parametrize("part, name, adapter", of_each(cases.CURVES))
def test_twenty_steps_have_the_losses_of_tensorflow(
    part, name, adapter, folder, parts_on_jax
):
    expected = cases.curve(folder, name, adapter)
    assert len(expected) == cases.STEPS
    assert max(expected) - min(expected) > 1e-2  # Something was learnt.
    found = parts_on_jax(part)[f"curve/{name}/{adapter}"]
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-4)


# AdaLoRA's start is drawn by each backend's own random numbers.
PLAIN = {
    part: [(case,) for case in kinds["none"] if case != "adalora"]
    for part, kinds in cases.DEVICES.items()
}


@needs_jax
@pytest.mark.parametrize("part, case", of_each(PLAIN))
def test_one_epoch_on_one_device_is_that_of_tensorflow(
    part, case, on_tensorflow, parts_on_jax
):
    _, change, history = on_tensorflow(case)
    found = parts_on_jax(part)[f"none/{case}/change"]
    assert np.linalg.norm(found - change) <= 1e-4 * np.linalg.norm(change)
    found = parts_on_jax(part)[f"none/{case}/history"]
    np.testing.assert_allclose(found, list(history.values()), rtol=1e-4, atol=1e-6)


SEVERAL = {
    part: [(kind, c) for kind, some in kinds.items() if kind != "none" for c in some]
    for part, kinds in cases.DEVICES.items()
}


@needs_jax
@pytest.mark.parametrize("part, kind, case", of_each(SEVERAL))
def test_two_devices_train_as_one_does(part, kind, case, parts_on_jax):
    found = parts_on_jax(part)
    one, two = (found[f"{name}/{case}/change"] for name in ("none", kind))
    assert np.linalg.norm(one) > 1e-3
    apart = np.linalg.norm(two - one) / np.linalg.norm(one)
    assert apart <= 1e-5, apart
    one, two = (found[f"{name}/{case}/history"] for name in ("none", kind))
    np.testing.assert_allclose(two, one, rtol=1e-5, atol=1e-6)


KINDS = {
    "quick": [("mirrored",), ("model_parallel",)],
    "slow": [("model_parallel1",)],
}


@needs_jax
@pytest.mark.parametrize("part, kind", of_each(KINDS))
def test_an_odd_number_of_rows_is_predicted_on_two_devices(part, kind, parts_on_jax):
    found = parts_on_jax(part)
    one, two = (found[f"{name}/predict"] for name in ("none", kind))
    assert one.shape == (13, 3)
    np.testing.assert_allclose(two, one, atol=1e-5)
    one, two = (found[f"{name}/scores"] for name in ("none", kind))
    np.testing.assert_allclose(two, one, atol=1e-5)


WHOLE, HALF = (32, 64), (32, 32)


@needs_jax
@pytest.mark.parametrize(
    "kind, replicas, shard, reason",
    [
        ("none", 1, WHOLE, "one device was asked for"),
        ("mirrored", 2, WHOLE, "its share of rows"),
        ("model_parallel", 1, HALF, "each 2 of them share one"),
    ],
)
def test_devices_take_part_as_the_strategy_says(kind, replicas, shard, reason, on_jax):
    assert on_jax[f"{kind}/replicas"] == replicas
    assert tuple(on_jax[f"{kind}/shard"]) == shard
    assert on_jax[f"{kind}/devices"] == (1 if kind == "none" else DEVICES)
    assert reason in str(on_jax[f"{kind}/reason"])


@needs_jax
@pytest.mark.parametrize("way", ["dataset", "py_dataset", "generator"])
def test_without_tensorflow_every_kind_of_batches_trains_alike(
    way, on_tensorflow, on_jax
):
    task, _, history = on_tensorflow("sgd")
    np.testing.assert_allclose(on_jax[f"bare/{way}/loss"], history["loss"], atol=1e-5)
    expected = cases.flat(task.weights)
    np.testing.assert_allclose(on_jax[f"bare/{way}/weights"], expected, atol=1e-5)


@needs_jax
@pytest.mark.parametrize("what", ["loss", "weights"])
def test_arrays_train_as_batches_of_them_do(what, on_jax):
    arrays, sliced = (on_jax[f"bare/{way}/{what}"] for way in ("arrays", "sliced"))
    np.testing.assert_allclose(arrays, sliced, atol=1e-6)


@needs_jax
def test_without_tensorflow_texts_are_predicted(on_tensorflow, on_jax):
    np.testing.assert_allclose(on_jax["bare/texts"], on_jax["bare/true"], atol=1e-5)
    task, _, _ = on_tensorflow("sgd")
    rows = cases.rows_for("text_classifier", cases.ROWS)
    expected = task.evaluate(task.dataset(rows, 8, max_shapes=1), verbose=0)
    np.testing.assert_allclose(on_jax["bare/evaluate"], expected, rtol=1e-4)


@needs_jax
@pytest.mark.slow
def test_other_work_of_tasks_runs_on_jax(folder, parts_on_jax):
    found = parts_on_jax("slow")
    assert np.isfinite(found["rdrop"]).all()
    task = cases.opened(folder, "causal_lm")
    texts = task.generate(["a great", "the plot was"], max_new_tokens=6)
    assert list(found["texts"]) == texts
    likely = task.log_likelihoods(cases.rows_for("causal_lm", 5).texts())
    np.testing.assert_allclose(found["likely"], likely, rtol=1e-5)


def test_tensorflow_does_not_split_a_model():
    with pytest.raises(SettingsError, match="KERAS_BACKEND=jax"):
        kft.strategy("model_parallel")
    with pytest.raises(SettingsError, match="split=2.*KERAS_BACKEND=jax"):
        kft.strategy("auto", split=2)
