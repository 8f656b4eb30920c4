"""The suite on JAX, in an environment that has no TensorFlow."""

import importlib.metadata
import os
import re
import subprocess
import sys
import venv
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]
FOLDERS = ("layers", "models", "objectives", "peft", "tasks")
AT_ONCE = ("-n", "2", "--dist", "loadfile")
LEFT_OUT = ("tensorflow", "tensorboard", "keras-tuner", "ipykernel", "nb")


@pytest.fixture(scope="module")
def python(tmp_path_factory):
    """Python of a new environment: all that kerasft needs, but TensorFlow, and JAX."""
    folder = tmp_path_factory.mktemp("without_tensorflow")
    venv.create(folder, with_pip=True)
    python = folder / "bin" / "python"
    needed = [
        one.split(";")[0].strip()
        for one in importlib.metadata.requires("kerasft")
        if "extra ==" not in one or 'extra == "test"' in one.replace("'", '"')
    ]
    needed = [one for one in needed if not one.startswith(LEFT_OUT)]
    if not any(one.startswith("jax") for one in needed):
        needed.append("jax")
    command = [python, "-m", "pip", "install", "--quiet", *needed]
    subprocess.run(command, check=True)
    return python


@pytest.mark.slow
def test_the_suite_passes_on_jax_without_tensorflow(python):
    environment = {
        **os.environ,
        "KERAS_BACKEND": "jax",
        "JAX_PLATFORMS": "cpu",
        "PYTHONPATH": str(TESTS.parent),
    }
    code = "import importlib.util as u; print(u.find_spec('tensorflow'))"
    found = subprocess.run([python, "-c", code], capture_output=True, text=True)
    assert found.stdout.strip() == "None"
    places = [str(TESTS / folder) for folder in FOLDERS]
    done = subprocess.run(
        [python, "-m", "pytest", "-p", "no:cacheprovider", *AT_ONCE, *places],
        cwd=TESTS.parent,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    sys.stdout.write(done.stdout[-8000:])
    assert done.returncode == 0, done.stdout[-8000:]
    passed = int(re.search(r"(\d+) passed", done.stdout)[1])
    skipped = re.search(r"(\d+) skipped", done.stdout)
    assert passed > 5 * int(skipped[1] if skipped else 0), done.stdout[-500:]
