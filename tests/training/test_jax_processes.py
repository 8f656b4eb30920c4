"""Two processes that train one model on JAX end where one process ends."""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import jax_cases as cases
import numpy as np
import pytest

from kerasft._errors import SettingsError
from kerasft.workflows.launch import free_ports

HERE = Path(__file__).parent
QUICK = ("sgd",)
SLOW = ("micro_batches", "loss_sum", "adalora", "causal_lm", "ranking")

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("jax") is None, reason="jax is not installed"
)


def started(folder, output, chosen, told):
    """One process; its output goes to a file beside the other."""
    places = [str(HERE.parents[i]) for i in (0, 1)] + [str(HERE)]
    places += [str(HERE.parent / "tasks"), os.environ.get("PYTHONPATH", "")]
    environment = os.environ | {
        "KERAS_BACKEND": "jax",
        "JAX_PLATFORMS": "cpu",
        "XLA_FLAGS": "--xla_backend_optimization_level=0",
        "PYTHONPATH": os.pathsep.join(places),
    }
    with output.with_suffix(".log").open("w") as log:
        return subprocess.Popen(
            [sys.executable, HERE / "jax_workers.py", folder, output, *chosen],
            env=environment | told,
            stdout=log,
            stderr=log,
        )


def finished(process, output):
    code = process.wait(timeout=600)
    assert code == 0, output.with_suffix(".log").read_text()[-5000:]
    return dict(np.load(output))


def alone_and_together(place, chosen):
    """What one process has found, and what each of two has."""
    cases.save_checkpoints(place)
    addresses = [f"127.0.0.1:{port}" for port in free_ports(2)]
    outputs = [place / f"{name}.npz" for name in ("alone", "first", "second")]
    tasks = [{"type": "worker", "index": index} for index in (0, 1)]
    clusters = [{"cluster": {"worker": addresses}, "task": task} for task in tasks]
    told = [{}, *({"TF_CONFIG": json.dumps(one)} for one in clusters)]
    some = [
        started(place, *one) for one in zip(outputs, [chosen] * 3, told, strict=True)
    ]
    return [finished(*one) for one in zip(some, outputs, strict=True)]


@pytest.mark.parametrize(
    "chosen", [QUICK, pytest.param(SLOW, marks=pytest.mark.slow)], ids=["sgd", "more"]
)
def test_two_processes_end_where_one_does(chosen, tmp_path):
    alone, first, second = alone_and_together(tmp_path, chosen)
    states = [(one.pop("replicas"), one.pop("chief")) for one in (alone, first, second)]
    assert states == [(1, True), (2, True), (2, False)]
    assert [one.pop("several") for one in (alone, first, second)] == [False, True, True]
    for name, told in alone.items():
        scale = abs(told).max() if name.endswith("/change") else 1
        for other in (first, second):
            np.testing.assert_allclose(
                other[name], told, rtol=1e-5, atol=1e-5 * scale, err_msg=name
            )


@pytest.mark.parametrize("told", ["{", "[]", '{"cluster": {"worker": ["a:1", "b:1"]}}'])
def test_a_cluster_that_cannot_be_read_is_refused(told, monkeypatch):
    from kerasft.training import jax_processes

    monkeypatch.setenv("TF_CONFIG", told)
    with pytest.raises(SettingsError, match="It must be like"):
        jax_processes.join()


def test_a_strategy_for_one_process_is_refused_among_several(monkeypatch):
    from kerasft.training import jax_devices

    task = {"type": "worker", "index": 0}
    cluster = {"cluster": {"worker": ["a:1", "b:1"]}, "task": task}
    monkeypatch.setenv("TF_CONFIG", json.dumps(cluster))
    for kind in ("none", "mirrored", "model_parallel"):
        with pytest.raises(SettingsError, match="is for one. Take 'auto'"):
            jax_devices.strategy(kind)
