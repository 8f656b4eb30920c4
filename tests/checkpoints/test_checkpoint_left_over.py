"""Folders that a killed save has left: the next one removes them, and no others."""

import os
import subprocess
import sys
import time

import pytest

from kerasft.checkpoints.folders import atomic_folder
from kerasft.checkpoints.left_over import held

LONG_AGO = time.time() - 3600
DYING = """
import os, sys
from kerasft.checkpoints.folders import atomic_folder
with atomic_folder(sys.argv[1]) as new:
    (new / "config.json").write_text("half")
    os.kill(os.getpid(), 9)
"""


def left(folder):
    return sorted(name for name in os.listdir(folder) if "saving" in name)


def save(target):
    with atomic_folder(target) as new:
        (new / "config.json").write_text("whole")


def made(place, name=".model.saving-0123abcd", age=LONG_AGO):
    folder = place / name
    folder.mkdir()
    (folder / "config.json").write_text("half")
    os.utime(folder, (age, age))
    return folder


def test_what_a_killed_save_has_left_is_removed_by_the_next(tmp_path):
    command = [sys.executable, "-c", DYING, str(tmp_path / "model")]
    paths = os.pathsep.join(filter(None, sys.path))
    done = subprocess.run(command, env=os.environ | {"PYTHONPATH": paths})
    assert done.returncode == -9
    (name,) = left(tmp_path)
    os.utime(tmp_path / name, (LONG_AGO, LONG_AGO))
    save(tmp_path / "model")
    assert left(tmp_path) == []
    assert (tmp_path / "model" / "config.json").read_text() == "whole"


def test_what_another_process_writes_now_stays(tmp_path):
    folder = made(tmp_path)
    with held(folder):
        save(tmp_path / "model")
        assert left(tmp_path) == [folder.name]
    save(tmp_path / "model")
    assert left(tmp_path) == []


def test_what_is_new_stays_for_it_may_not_be_held_yet(tmp_path):
    folder = made(tmp_path, age=time.time())
    save(tmp_path / "model")
    assert left(tmp_path) == [folder.name]


@pytest.mark.parametrize(
    "name", [".other.saving-0123abcd", ".model.saving-mine", "model.saving-0123abcd"]
)
def test_what_is_called_otherwise_stays(name, tmp_path):
    made(tmp_path, name)
    save(tmp_path / "model")
    assert left(tmp_path) == [name]


def test_a_link_of_that_name_is_not_followed(tmp_path):
    outside = made(tmp_path, "mine")
    (tmp_path / ".model.saving-0123abcd").symlink_to(outside)
    save(tmp_path / "model")
    assert (outside / "config.json").exists()
