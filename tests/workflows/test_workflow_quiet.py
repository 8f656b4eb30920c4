"""What is shown of what TensorFlow says while it loads."""

import os
import subprocess
import sys

import pytest

from kerasft.workflows import quiet

REMARKS = (
    b"WARNING: All log messages before absl::InitializeLog() is called are written\n"
    b"I0000 00:00:1795749829.4 1 port.cc:153] oneDNN custom operations are on.\n"
)
FAULT = b"F0000 00:00:1795749829.4 1 cpu.cc:1] This CPU has no AVX.\n"
DRIVER = b"E0000 00:00:1795749829.4 1 cuda.cc:52] failed call to cuInit: 303\n"


def test_a_command_shows_its_own_words_alone(tmp_path):
    command = [sys.executable, "-m", "kerasft", "export", str(tmp_path), "--out", "s"]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True)
    assert done.returncode == 2
    assert done.stderr.count(b"\n") == 1 and done.stderr.startswith(b"kerasft: error: ")


@pytest.mark.parametrize("there", [False, True])
def test_remarks_are_left_out_and_all_else_is_shown(there, capfd, monkeypatch):
    monkeypatch.setattr(quiet, "DRIVER", quiet.Path(os.devnull if there else "/none"))
    with quiet._held_back():
        os.write(2, REMARKS + FAULT + DRIVER)
    assert capfd.readouterr().err.encode() == FAULT + (DRIVER if there else b"")


def test_all_is_shown_where_the_loading_fails(capfd):
    with pytest.raises(ImportError), quiet._held_back():
        os.write(2, REMARKS)
        raise ImportError
    assert capfd.readouterr().err.encode() == REMARKS


SEVERAL = """
from kerasft.workflows.quiet import without_remarks
without_remarks()
import tensorflow as tf
def traced():
    return tf.function(lambda x: x + 1)
for _ in range(8):
    tf.function(lambda x: x)(tf.zeros(1))
again = traced()
for size in range(9):
    again(tf.zeros(size))
tf.get_logger().warning("told")
"""


def test_that_several_models_are_traced_is_no_warning_and_others_are(tmp_path):
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    command = [sys.executable, "-c", SEVERAL]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True)
    assert done.returncode == 0
    assert b"told" in done.stderr and b"retracing" not in done.stderr
