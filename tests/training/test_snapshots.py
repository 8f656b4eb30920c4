"""Snapshots: there whole or not at all, read only if intact, thinned out with care."""

import os
import shutil

import numpy as np
import pytest

from kerasft.training import snapshot

ARRAYS = [("a", np.arange(6.0).reshape(2, 3)), ("b/c", np.array(7, "uint32"))]


def write(folder, step):
    return snapshot.write(folder, step, ARRAYS, {"step": step, "place": [0, step]})


def test_what_is_written_is_read(tmp_path):
    write(tmp_path, 3)
    write(tmp_path, 12)
    found, problems = snapshot.newest(tmp_path)
    assert (found.step, found.state["step"], problems) == (12, 12, [])
    arrays = dict(found.arrays())
    for name, array in ARRAYS:
        assert np.array_equal(arrays[name], array)
        assert (arrays[name].dtype, arrays[name].shape) == (array.dtype, array.shape)


def test_no_folder_is_no_snapshot(tmp_path):
    assert snapshot.newest(tmp_path / "none") == (None, [])


def damaged(path, random):
    """One file of a snapshot, cut off or with one bit turned."""
    file = random.choice(sorted(path.iterdir()))
    content = bytearray(file.read_bytes())
    if random.random() < 0.5:
        content[random.integers(len(content))] ^= 1 << random.integers(8)
    else:
        del content[random.integers(len(content)) :]
    file.write_bytes(content)


def test_of_damaged_snapshots_none_is_taken(tmp_path):
    random = np.random.default_rng(0)
    for trial in range(200):
        folder = tmp_path / str(trial)
        write(folder, 1)
        damaged(write(folder, 2), random)
        found, problems = snapshot.newest(folder)
        assert found.step == 1 and len(problems) == 1
    damaged(found.path, random)
    found, problems = snapshot.newest(folder)
    assert found is None and len(problems) == 2


class Crash(BaseException):
    """The machine stopped."""


CALLS = ("fsync", "rename", "open", "close", "mkdir")


def crashing_at(monkeypatch, count):
    """Let the `count`-th of the system calls of a save fail; list them as they come."""
    made = []
    for name in CALLS:
        real = getattr(os, name)

        def call(*args, real=real, **options):
            made.append(real)
            if len(made) == count:
                raise Crash
            return real(*args, **options)

        monkeypatch.setattr(os, name, call)
    # What a crashed process leaves is not tidied up by it.
    monkeypatch.setattr(shutil, "rmtree", lambda *args, **options: None)
    return made


def test_a_crash_at_any_call_of_a_save_leaves_what_was_there(tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        calls = len_of_save(tmp_path / "count", patch)
    assert calls >= 8
    for count in range(1, calls + 1):
        folder = tmp_path / str(count)
        write(folder, 1)
        with monkeypatch.context() as patch:
            crashing_at(patch, count)
            with pytest.raises(Crash):
                write(folder, 2)
        found, problems = snapshot.newest(folder)
        assert found.step in (1, 2) and not problems
        write(folder, 3)
        snapshot.thin_out(folder, 1)
        assert sorted(os.listdir(folder)) == ["step-000000003"]


def len_of_save(folder, monkeypatch):
    write(folder, 1)
    made = crashing_at(monkeypatch, -1)
    write(folder, 2)
    return len(made)


def test_a_full_disk_leaves_what_was_there_and_nothing_else(tmp_path, monkeypatch):
    write(tmp_path, 1)
    monkeypatch.setattr(
        shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(9, 9, 9)
    )
    with pytest.raises(OSError, match="takes 52 bytes, and 9 are free"):
        write(tmp_path, 2)
    assert os.listdir(tmp_path) == ["step-000000001"]


def test_the_same_step_is_replaced(tmp_path):
    write(tmp_path, 1)
    write(tmp_path, 1)
    assert os.listdir(tmp_path) == ["step-000000001"]


def test_only_snapshots_are_thinned_out(tmp_path):
    for step in range(5):
        write(tmp_path, step)
    users = tmp_path / "step-000000000"
    (users / "manifest.json").unlink()  # Not ours any more.
    (tmp_path / "notes.txt").write_text("mine")
    outside = tmp_path.parent / f"{tmp_path.name}-outside"
    outside.mkdir()
    (outside / "file").touch()
    (tmp_path / ".saving-00000000").symlink_to(outside)
    snapshot.thin_out(tmp_path, 2)
    left = sorted(os.listdir(tmp_path))
    assert left == [
        ".saving-00000000",
        "notes.txt",
        "step-000000000",
        "step-000000003",
        "step-000000004",
    ]
    assert (outside / "file").exists()
