"""A folder is the old checkpoint or the new one, whatever goes wrong in between."""

import os

import pytest

from kerasft._errors import CheckpointError
from kerasft.checkpoints import folders
from kerasft.checkpoints.folders import atomic_folder, member


@pytest.fixture
def old(tmp_path):
    """A saved checkpoint with a user's own files beside it."""
    folder = tmp_path / "model"
    (folder / "resume").mkdir(parents=True)
    (folder / "config.json").write_text("old")
    (folder / "model-00001-of-00002.safetensors").write_text("old")
    (folder / "README.md").write_text("mine")
    (folder / "resume" / "step").write_text("7")
    return folder


def save(target):
    with atomic_folder(target) as new:
        (new / "config.json").write_text("new")
        (new / "model.safetensors").write_text("new")


def content(folder):
    return {
        str(path.relative_to(folder)): path.read_text()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


NEW = {"config.json": "new", "model.safetensors": "new"}
MINE = {"README.md": "mine", "resume/step": "7"}


def test_a_new_folder_appears_with_its_parents(tmp_path):
    save(tmp_path / "a" / "b")
    assert content(tmp_path / "a") == {f"b/{key}": text for key, text in NEW.items()}


def test_an_old_checkpoint_goes_and_the_users_files_stay(old):
    save(old)
    assert content(old) == NEW | MINE
    assert os.listdir(old.parent) == ["model"]


def test_a_folder_of_other_things_keeps_them(tmp_path):
    (tmp_path / "run" / "resume").mkdir(parents=True)
    (tmp_path / "run" / "resume" / "step").write_text("7")
    save(tmp_path / "run")
    assert content(tmp_path / "run") == NEW | {"resume/step": "7"}


def test_weights_that_are_nobodys_checkpoint_are_not_replaced(tmp_path):
    (tmp_path / "vocab.txt").write_text("mine")
    with pytest.raises(CheckpointError, match="holds vocab.txt but no config.json"):
        save(tmp_path)
    assert content(tmp_path) == {"vocab.txt": "mine"}


def test_a_file_is_not_replaced_by_a_folder(tmp_path):
    (tmp_path / "model").write_text("mine")
    with pytest.raises(CheckpointError, match="is a file"):
        save(tmp_path / "model")


def test_the_working_directory_is_not_swapped_away(old, monkeypatch):
    monkeypatch.chdir(old / "resume")
    with pytest.raises(CheckpointError, match="working directory"):
        save(old)


def test_a_failure_while_writing_leaves_the_old(old):
    before = content(old)
    with pytest.raises(OSError), atomic_folder(old) as new:
        (new / "config.json").write_text("new")
        raise OSError("no space left on device")
    assert content(old) == before
    assert os.listdir(old.parent) == ["model"]


@pytest.mark.parametrize("name", ["fsync", "rename", "link", "open"])
@pytest.mark.parametrize("has_exchange", [True, False])
def test_old_or_new_is_whole_when_any_call_fails(old, monkeypatch, name, has_exchange):
    """Each call of `os.<name>` in turn fails once."""
    if not has_exchange:
        monkeypatch.setattr(folders.ctypes, "CDLL", lambda *_, **__: None)
    before, real = content(old), getattr(os, name)
    for crash_at in range(50):
        calls = iter(range(1000))

        def failing(*args, _calls=calls, _crash_at=crash_at, **kwargs):
            if next(_calls) == _crash_at:
                raise OSError("killed here")
            return real(*args, **kwargs)

        with monkeypatch.context() as patch:
            patch.setattr(os, name, failing)
            try:
                save(old)
            except OSError:
                pass
            if next(calls) <= crash_at:
                break
        assert content(old) in (before, NEW | MINE)
        if name != "open":  # With which the deletion of the old one works, too.
            assert os.listdir(old.parent) == ["model"]
    assert crash_at < 49


def test_a_kill_between_two_renames_leaves_a_whole_folder(old, monkeypatch):
    """Without an exchange in the system the old one is whole under another name."""
    monkeypatch.setattr(folders.ctypes, "CDLL", lambda *_, **__: None)
    before, real, calls = content(old), os.rename, []

    def killed(source, target):
        calls.append(source)
        if len(calls) > 1:  # And no clean-up gets a chance either.
            raise KeyboardInterrupt
        real(source, target)

    monkeypatch.setattr(os, "rename", killed)
    with pytest.raises(KeyboardInterrupt):
        save(old)
    whole = [content(path) for path in old.parent.iterdir()]
    assert before in whole


def test_a_link_to_a_folder_stays_a_link(old, tmp_path):
    (tmp_path / "link").symlink_to(old)
    save(tmp_path / "link")
    assert (tmp_path / "link").is_symlink()
    assert content(old) == NEW | MINE


def test_what_a_users_link_points_to_is_untouched(old, tmp_path):
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "file").write_text("far")
    (old / "link").symlink_to(tmp_path / "outside")
    save(old)
    assert (old / "link").is_symlink()
    assert content(tmp_path / "outside") == {"file": "far"}


@pytest.mark.parametrize(
    "name",
    [
        "../x",
        "/etc/passwd",
        "C:\\x",
        "file://x",
        "hf://x/y",
        "a\0b",
        "a" * 300,
        "..",
        ".",
        "",
        ".hidden",
        "a\u2215b",
        "a/../b",
        7,
        None,
    ],
)
def test_only_plain_file_names_are_members(tmp_path, name):
    with pytest.raises(CheckpointError, match="plain names"):
        member(tmp_path, name)


def test_a_link_out_of_the_folder_is_refused(tmp_path):
    (tmp_path / "secret").write_text("x")
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "config.json").symlink_to(tmp_path / "secret")
    with pytest.raises(CheckpointError, match="outside"):
        member(tmp_path / "model", "config.json")


def test_a_loop_of_links_is_refused(tmp_path):
    (tmp_path / "a").symlink_to(tmp_path / "b")
    (tmp_path / "b").symlink_to(tmp_path / "a")
    with pytest.raises(CheckpointError, match="nowhere"):
        member(tmp_path, "a")


def test_links_of_the_hub_cache_are_followed(tmp_path):
    snapshot = tmp_path / "models--x--y" / "snapshots" / "abc"
    blobs = tmp_path / "models--x--y" / "blobs"
    snapshot.mkdir(parents=True)
    blobs.mkdir()
    (blobs / "1234").write_text("{}")
    (snapshot / "config.json").symlink_to("../../blobs/1234")
    assert member(snapshot, "config.json").read_text() == "{}"
