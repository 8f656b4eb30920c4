"""A command that was ended before its time and is given again."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from workflow_files import FINETUNE

import kerasft as kft
from kerasft.training import snapshot
from kerasft.workflows import cli

FITTED = [*FINETUNE, "--epochs", "3", "--save-steps", "3", "--seed", "4"]
ENDED_IN = 1  # the epoch


@pytest.fixture(scope="module")
def whole(workplace):
    """A run that nothing has ended."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(workplace)
        assert cli.main([*FITTED, "--out", "runs/whole"]) == 0
    return workplace / "runs" / "whole"


def end(monkeypatch, command):
    """Run a command that ends in epoch `ENDED_IN`, as by Ctrl-C at a bad moment."""

    def ended(self, epoch, logs=None):
        if epoch == ENDED_IN:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(kft.TensorBoard, "on_epoch_end", ended)
        assert cli.main(command) == 130


def test_the_same_command_goes_on_and_ends_with_the_same_files(
    whole, here, monkeypatch, capsys
):
    command = [*FITTED, "--out", "runs/ended"]
    end(monkeypatch, command)
    folder = here / "runs" / "ended"
    assert (folder / "resume").is_dir()
    assert cli.main(command) == 0
    assert "Going on from" in capsys.readouterr().out
    for name in ("history.json", "model.safetensors", "metrics.json"):
        assert (folder / name).read_bytes() == (whole / name).read_bytes(), name
    assert len(json.loads((folder / "history.json").read_text())["loss"]) == 3
    assert not (folder / "resume").exists()


def test_other_settings_are_refused_unless_asked_for(
    here, monkeypatch, refused, capsys
):
    command = [*FITTED, "--out", "runs/changed"]
    end(monkeypatch, command)
    other = [*command, "--batch-size", "5", "--patience", "2"]
    told = refused(*other)
    assert "batch_size: was 16, is 5" in told and "patience: was 0, is 2" in told
    assert "--restart" in told and "--allow-changes" in told
    capsys.readouterr()
    assert cli.main([*other, "--restart"]) == 0
    assert "Going on from" not in capsys.readouterr().out


def test_a_run_that_goes_on_elsewhere_is_not_begun_anew(here, monkeypatch, refused):
    command = [*FITTED, "--out", "runs/busy"]
    end(monkeypatch, command)
    place = Path("runs/busy/resume")
    before = snapshot.all_in(place)
    held = "from pathlib import Path; from kerasft.training.run_lock import RunLock; "
    held += f"lock = RunLock(Path({str(place)!r})); print('held', flush=True); input()"
    options = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen([sys.executable, "-c", held], **options) as other:
        assert other.stdout.readline() == "held\n"
        told = refused(*command, "--restart")
        other.communicate("\n")
    assert "trains there now" in told
    assert snapshot.all_in(place) == before


def test_rows_that_have_changed_are_told(here, monkeypatch, refused):
    command = [*FITTED, "--out", "runs/rows"]
    end(monkeypatch, command)
    train = here / "train.csv"
    before = train.read_text()
    train.write_text(before.replace("a ", "the ", 1))
    try:
        told = refused(*command)
    finally:
        train.write_text(before)
    assert "data (examples.ids): was" in told
    assert "--restart" in told and "--allow-changes" in told
