"""One search on several machines: a chief, and workers that ask it for trials."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from fake_trials import FAKE

import kerasft as kft
from kerasft._errors import SettingsError
from kerasft.workflows import cli
from kerasft.workflows.launch import free_ports
from kerasft.workflows.search_cluster import NAMES, role

PROGRAM = """
import sys
import kerasft as kft
from kerasft.workflows import trial_processes
trial_processes.COMMAND = (sys.executable, sys.argv[1])
given = dict(checkpoint="tiny", train="train.csv", validation="valid.csv", epochs=1)
given |= dict(text="review", label="stars", out=sys.argv[2], seed=int(sys.argv[3]))
space = {"learning_rate": {"min": 1e-4, "max": 1.0, "sampling": "log"},
         "batch_size": [8, 16, 32]}
try:
    kft.search(kft.FinetuneSettings(**given), space, trials=8)
except kft.KerasftError as error:
    sys.exit(f"refused: {error}")
"""


@pytest.fixture
def machine(here, tmp_path, monkeypatch):
    """Starts the search as a process that plays a machine: (role, out) -> process."""
    script, diary = tmp_path / "fake.py", tmp_path / "diary"
    script.write_text(FAKE)
    diary.touch()
    monkeypatch.setenv("DIARY", str(diary))
    monkeypatch.setenv("PYTHONPATH", str(Path(kft.__file__).parents[1]))
    (port,), started = free_ports(1), []

    def start(name=None, out="shared", seed=0, **more):
        own = dict(zip(NAMES, (name, "127.0.0.1", str(port)), strict=True))
        command = [sys.executable, "-c", PROGRAM, str(script), str(tmp_path / out)]
        process = subprocess.Popen(
            [*command, str(seed)],
            cwd=here,
            env=os.environ | (own if name else {}) | more,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        return process

    start.tried = lambda: [json.loads(x) for x in diary.read_text().splitlines()]
    yield start
    for process in started:
        process.kill()
        process.communicate()


def ended(process):
    """What a process has said, once it has ended well."""
    out, process.told = process.communicate(timeout=120)
    assert process.returncode == 0, process.told[-2000:]
    return out


def trials(folder):
    told = json.loads((folder / "trials.json").read_text())["trials"]
    return sorted((json.dumps(t["values"]), t["state"], t["score"]) for t in told)


def test_chief_and_workers_try_what_one_machine_does(machine, tmp_path):
    slowly = {"SLOWLY": "1"}
    workers = [machine(f"worker{i}", **slowly) for i in range(2)]
    for worker in workers:
        assert any("asking the chief" in line for line in worker.stderr)
    chief = machine("chief", **slowly)
    _, *said = [ended(process) for process in (chief, *workers)]
    assert "for place" not in chief.told  # It waits for others, not for itself.
    counts = [text.count(": trial ") for text in said]
    assert min(counts) > 0 and sum(counts) < 8  # The chief's machine works, too.
    assert "worker0: the chief has no more trials." in said[0]
    assert (tmp_path / "shared" / "best.yaml").exists()
    assert len(list((tmp_path / "shared").rglob("*.safetensors"))) == 1
    ended(machine(out="alone"))
    assert trials(tmp_path / "shared") == trials(tmp_path / "alone")
    assert len(machine.tried()) == 16


@pytest.mark.slow
def test_what_a_killed_worker_had_is_done_when_it_is_started_again(machine, tmp_path):
    slowly = {"SLOWLY": "1"}
    chief, worker = machine("chief", **slowly), machine("worker", **slowly)
    mine = "worker place 0"
    state = tmp_path / "shared" / "oracle" / "oracle.json"
    until = time.monotonic() + 60
    while time.monotonic() < until:
        time.sleep(0.05)
        known = json.loads(state.read_text()) if state.exists() else {}
        if mine in known.get("ongoing_trials", ()):
            break
    else:
        pytest.fail("the worker got no trial")
    worker.send_signal(signal.SIGKILL)
    worker.wait()
    again = machine("worker", **slowly)
    ended(again)
    ended(chief)
    ended(machine(out="alone"))
    assert trials(tmp_path / "shared") == trials(tmp_path / "alone")


def test_a_worker_of_another_recipe_or_folder_is_refused(machine):
    chief = machine("chief", SLOWLY="3")
    others = machine("other", seed=1), machine("elsewhere", out="elsewhere")
    told = []
    for process in others:
        _, errors = process.communicate(timeout=60)
        assert process.returncode == 1
        told.append(errors)
    assert "refused: The chief searches with other settings (seed: 0)" in told[0]
    assert "search.yaml of the chief is not here: `out` has to be" in told[1]
    assert chief.poll() is None


@pytest.mark.slow
def test_a_killed_chief_goes_on_and_gives_no_trial_to_two(machine, tmp_path):
    slowly = {"SLOWLY": "1"}
    worker = machine("worker", **slowly)
    assert any("asking the chief" in line for line in worker.stderr)
    chief = machine("chief", **slowly)
    until = time.monotonic() + 60
    while len(machine.tried()) < 3 and time.monotonic() < until:
        time.sleep(0.05)
    chief.kill()
    chief.wait()
    chief = machine("chief", **slowly)
    ended(chief)
    assert worker.wait(60) == 0
    tried = [json.dumps(one) for one in machine.tried()]
    # What the chief's own machine was at when it was killed has ended with it.
    assert len(tried) == len(set(tried)) == 8
    ended(machine(out="alone"))
    assert trials(tmp_path / "shared") == trials(tmp_path / "alone")


def test_an_address_that_is_taken_is_told(machine, tmp_path):
    first = machine("chief", SLOWLY="5")
    worker = machine("worker", SLOWLY="5")
    while not (tmp_path / "shared" / "trials").exists():
        assert first.poll() is None
        time.sleep(0.1)
    second = machine("chief", out="second")
    _, errors = second.communicate(timeout=60)
    assert second.returncode == 1
    assert "cannot be served" in errors and NAMES[1] in errors
    assert first.poll() is None and worker.poll() is None


@pytest.mark.parametrize("name, found", [("chief", "chief"), ("w1", "worker")])
def test_the_environment_says_who_is_who(name, found, monkeypatch):
    assert role() is None
    for key, value in zip(NAMES, (name, "10.0.0.1", "8000"), strict=True):
        monkeypatch.setenv(key, value)
    assert role() == found
    monkeypatch.delenv(NAMES[2])
    with pytest.raises(SettingsError, match="there is no KERASTUNER_ORACLE_PORT"):
        role()


def test_the_command_line_refuses_half_an_environment(here, monkeypatch, capsys):
    monkeypatch.setenv(NAMES[0], "chief")
    given = ["--checkpoint", "tiny", "--train", "train.csv", "--text", "review"]
    given += ["--validation", "valid.csv", "--label", "stars", "--out", "out"]
    assert cli.main(["search", *given, "--space", "{batch_size: [8, 16]}"]) == 2
    assert NAMES[1] in capsys.readouterr().err
