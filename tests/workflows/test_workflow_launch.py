"""Several workers of one command on this machine."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from threading import Timer

import pytest
from workflow_files import FINETUNE

import kerasft as kft
from kerasft._errors import SettingsError
from kerasft.training import snapshot
from kerasft.workflows import cli
from kerasft.workflows import launch as launching

TRAIN = [*FINETUNE, "--epochs", "3", "--batch-size", "8", "--save-steps", "1"]


def test_what_follows_the_dashes_is_the_workers_command():
    given = ["launch", "--workers", "3", "--", *TRAIN, "--out", "x"]
    _, settings = cli.parse(given)
    assert settings.workers == 3
    assert settings.command == [*TRAIN, "--out", "x"]


@pytest.mark.parametrize("flag", ["--config", "--help", "-h"])
def test_flags_behind_the_dashes_are_the_commands(flag):
    given = ["launch", "--workers", "2", "--", "finetune", flag, "recipe.yaml"]
    assert cli.parse(given)[1].command == ["finetune", flag, "recipe.yaml"]


def test_only_training_is_launched(refused):
    assert "what follows -- is one of finetune, pretrain, search" in refused(
        "launch", "--workers", "2", "--", "predict", "run", "--data", "x.csv"
    )


def test_a_command_without_dashes_is_told_where_they_go(refused):
    assert "told after -- what each worker runs" in refused(
        "launch", "--workers", "2", "finetune"
    )


def test_an_end_that_was_asked_for_is_no_lost_worker(monkeypatch):
    popen = subprocess.Popen

    def start(command, env, **_):
        return popen(["sleep", "60"])  # It ends by the signal, as one that is done.

    monkeypatch.setattr(launching.subprocess, "Popen", start)
    Timer(1, os.kill, (os.getpid(), signal.SIGTERM)).start()
    with pytest.raises(SystemExit) as ended:
        kft.launch(kft.LaunchSettings(workers=2, command=["finetune"]))
    assert ended.value.code == 128 + signal.SIGTERM


def test_workers_of_a_search_are_its_jobs(monkeypatch):
    started, popen = [], subprocess.Popen

    def start(command, env, **_):
        started.append((command, "TF_CONFIG" in env))
        return popen(["true"])

    monkeypatch.setattr(launching.subprocess, "Popen", start)
    kft.launch(kft.LaunchSettings(workers=3, command=["search", "--trials", "12"]))
    ((command, clustered),) = started
    assert command[2:] == ["kerasft", "search", "--trials", "12", "--jobs", "3"]
    assert not clustered
    with pytest.raises(SettingsError, match="give one"):
        kft.LaunchSettings(workers=3, command=["search", "--jobs=2"])


def test_a_mistake_of_the_workers_is_told_once_and_not_tried_again(here, capfd):
    settings = kft.LaunchSettings(
        workers=1, command=["finetune", "--checkpoint", "none", "--train", "no.csv"]
    )
    with pytest.raises(SettingsError, match="refuse their command"):
        kft.launch(settings)
    assert capfd.readouterr().err.count("kerasft: error") == 1


def launched(out, *more):
    """A launcher of two workers, and where their snapshots are."""
    command = [sys.executable, "-m", "kerasft", "launch", "--workers", "2", "--"]
    started = subprocess.Popen([*command, *TRAIN, "--out", out, *more])
    return started, Path(out) / "resume"


def workers_of(launcher):
    """Their process numbers, when the run has taken two snapshots."""
    launcher, place = launcher
    while len(snapshot.all_in(place)) < 2:
        assert launcher.poll() is None
        time.sleep(0.01)
    children = ["pgrep", "-P", str(launcher.pid)]
    return [int(one) for one in subprocess.check_output(children, text=True).split()]


def assert_same_runs(one, other):
    """Of two runs the weights, and the history but for rounding."""
    first, second = (
        Path(run, "model.safetensors").read_bytes() for run in (one, other)
    )
    assert first == second
    # Sums that the workers share out again are rounded.
    first, second = (
        json.loads(Path(run, "history.json").read_text()) for run in (one, other)
    )
    for name, values in second.items():
        assert first[name] == pytest.approx(values, rel=1e-6)


@pytest.mark.slow
def test_workers_one_of_whom_is_killed_end_with_the_same_files(here):
    assert launched("runs/unharmed")[0].wait() == 0
    launcher = launched("runs/harmed")
    os.kill(workers_of(launcher)[-1], signal.SIGKILL)
    assert launcher[0].wait() == 0
    assert_same_runs("runs/harmed", "runs/unharmed")


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=str)
@pytest.mark.parametrize("who", ["a worker", "the launcher"])
def test_a_signal_to_one_process_ends_all_at_the_same_step(here, who, number):
    long = ("--epochs", "40", "--learning-rate", "1e-3")
    if not Path("runs/whole").exists():
        assert launched("runs/whole", *long)[0].wait() == 0
    out = f"runs/{who.split()[-1]}-{number}"
    launcher = launched(out, *long)
    workers = workers_of(launcher)
    os.kill(workers[-1] if who == "a worker" else launcher[0].pid, number)
    assert launcher[0].wait(60) == 128 + number
    assert not Path(out, "metrics.json").exists()  # Written at the very end.
    assert launched(out, *long)[0].wait() == 0
    assert_same_runs(out, "runs/whole")
