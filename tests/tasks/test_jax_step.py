"""The same run on JAX as on TensorFlow; skipped where JAX is not installed."""

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from tiny_tasks import save_tiny_bert

PROGRAM = Path(__file__).parent / "five_steps.py"
BACKENDS = ("tensorflow", "jax")

pytestmark = pytest.mark.skipif(not find_spec("jax"), reason="JAX is not installed")


@pytest.fixture(scope="module")
def both(tmp_path_factory):
    """What `five_steps.py` saved on TensorFlow, and on JAX."""
    folder = tmp_path_factory.mktemp("backends")
    checkpoint = folder / "checkpoint"
    checkpoint.mkdir()
    save_tiny_bert(checkpoint, hidden_dropout=0.0, attention_dropout=0.0)
    places = [str(PROGRAM.parents[i]) for i in (1, 2)]
    for backend in BACKENDS:
        environment = {
            **os.environ,
            "KERAS_BACKEND": backend,
            "TF_CPP_MIN_LOG_LEVEL": "3",
            "PYTHONPATH": os.pathsep.join(places),
        }
        command = [sys.executable, PROGRAM, checkpoint, folder / f"{backend}.npz"]
        done = subprocess.run(command, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr[-3000:]
    found = [dict(np.load(folder / f"{backend}.npz")) for backend in BACKENDS]
    assert tuple(str(run.pop("backend")) for run in found) == BACKENDS
    return found


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
def test_five_steps_on_jax_equal_those_on_tensorflow(optimizer, both):
    ours, theirs = both
    names = [n for n in ours if n.startswith(optimizer) and "/logs/" not in n]
    assert max(np.abs(ours[name]).max() for name in names) > 1e-2
    for name in names:
        np.testing.assert_allclose(theirs[name], ours[name], rtol=0, atol=1e-5)


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
def test_loss_and_metrics_on_jax_equal_those_on_tensorflow(optimizer, both):
    ours, theirs = both
    names = [name for name in ours if name.startswith(f"{optimizer}/logs/")]
    assert {name.rsplit("/", 1)[1] for name in names} >= {"loss", "val_loss", "val_f1"}
    for name in names:
        np.testing.assert_allclose(theirs[name], ours[name], rtol=1e-4, err_msg=name)
