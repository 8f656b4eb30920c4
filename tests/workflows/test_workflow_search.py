"""A search tries what it is told, survives what kills it, and keeps the best."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml
from fake_trials import FAKE
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams import metadata as hparams_metadata

import kerasft as kft
from kerasft._errors import SettingsError
from kerasft.workflows import cli, trial_processes
from kerasft.workflows.flags import from_yaml
from kerasft.workflows.search_results import Found, found_in
from kerasft.workflows.search_screen import Screen, remaining_seconds
from kerasft.workflows.training import Run
from kerasft.workflows.trial import direction_of, reason_of, score_of

GRID = {"learning_rate": [1e-3, 1e-2, 1e-1], "batch_size": [8, 16]}


@pytest.fixture
def fake(here, tmp_path, monkeypatch):
    """Trials that train nothing; a list of the values that they were given."""
    script = tmp_path / "fake.py"
    script.write_text(FAKE)
    diary = tmp_path / "diary"
    diary.touch()
    monkeypatch.setenv("DIARY", str(diary))
    monkeypatch.setattr(trial_processes, "COMMAND", (sys.executable, str(script)))
    monkeypatch.setattr("kerasft.workflows.search_work.PAUSE", 0.02)
    return lambda: [json.loads(line) for line in diary.read_text().splitlines()]


def settings(out, **others):
    given = {"checkpoint": "tiny", "train": "train.csv", "validation": "valid.csv"}
    given |= {"text": "review", "label": "stars", "epochs": 1, "out": str(out)}
    return kft.FinetuneSettings(**given | others)


def in_order(values):
    return sorted(map(json.dumps, values))


def test_a_grid_tries_everything_once_and_keeps_the_best(fake, tmp_path):
    out = tmp_path / "grid"
    found = kft.search(settings(out), GRID, algorithm="grid", trials=20)
    everything = [
        {"learning_rate": rate, "batch_size": size}
        for rate in GRID["learning_rate"]
        for size in GRID["batch_size"]
    ]
    assert in_order(fake()) == in_order(everything)
    assert found.best["values"] == {"learning_rate": 1e-2, "batch_size": 16}
    assert found.best["score"] == 0
    text = (out / "best.yaml").read_text()
    assert text.startswith("# The best of 6 trials: learning_rate 0.01, batch_size 16")
    recipe = yaml.safe_load(text)
    assert recipe["batch_size"] == 16 and float(recipe["learning_rate"]) == 1e-2
    assert not {"out", "tensorboard", "space"} & set(recipe)
    weights = list(out.rglob("*.safetensors"))
    assert weights == [out / "best" / "model.safetensors"]
    told = json.loads((out / "trials.json").read_text())
    assert told["best"] == found.best["id"] and len(told["trials"]) == 6
    assert (out / "scores.png").read_bytes().startswith(b"\x89PNG")


def test_the_best_recipe_is_taken_by_finetune(fake, tmp_path):
    out = tmp_path / "s"
    kft.search(settings(out), {"batch_size": [8, 16]}, algorithm="grid", keep_all=True)
    assert len(list(out.rglob("*.safetensors"))) == 2
    command = ["finetune", "--config", str(out / "best.yaml"), "--out", "again"]
    _, parsed = cli.parse(command)
    assert parsed == replace(settings("again"), batch_size=16)


@pytest.mark.parametrize("algorithm", ["random", "grid"])
def test_the_same_seed_tries_the_same_with_two_jobs(algorithm, fake, tmp_path):
    space = {"learning_rate": {"min": 1e-4, "max": 1.0, "sampling": "log"}}
    space |= {"batch_size": {"min": 8, "max": 32, "step": 8}}
    if algorithm == "grid":
        space = GRID
    how = {"algorithm": algorithm, "trials": 5}
    kft.search(settings(tmp_path / "one"), space, **how)
    once = fake()
    kft.search(settings(tmp_path / "two"), space, jobs=2, **how)
    twice = fake()[len(once) :]
    assert len(once) == 5
    assert in_order(once) == in_order(twice)


def test_the_memory_of_a_search_does_not_grow_with_its_trials(
    fake, tmp_path, monkeypatch
):
    sizes, show = {}, Screen.show

    def measured(screen, found):
        show(screen, found)
        ended = sum(one["state"] == "completed" for one in found.trials)
        sizes[ended] = int(Path("/proc/self/statm").read_text().split()[1])

    monkeypatch.setattr(Screen, "show", measured)
    space = {"learning_rate": [1e-4, 1e-3, 1e-2], "batch_size": [4, 8, 16, 32]}
    kft.search(settings(tmp_path / "s"), space, algorithm="grid", trials=12)
    assert sizes[12] <= 1.05 * sizes[2]


def test_hyperband_gives_good_trials_more_epochs(fake, tmp_path):
    found = kft.search(
        settings(tmp_path / "bands", epochs=9),
        {"learning_rate": {"min": 1e-4, "max": 1.0, "sampling": "log"}},
        algorithm="hyperband",
        trials=13,
    )
    epochs = [one["values"]["epochs"] for one in found.trials]
    assert set(epochs) == {1, 3, 9} and epochs.count(1) > epochs.count(9)
    promoted = [one["score"] for one in found.trials if one["values"]["epochs"] == 9]
    others = [one["score"] for one in found.trials if one["values"]["epochs"] == 1]
    assert min(promoted) == min(others)
    recipe = from_yaml(kft.FinetuneSettings, tmp_path / "bands/best/recipe.yaml")
    assert recipe.epochs == found.best["values"]["epochs"]


def test_the_space_may_be_a_function_of_kerastuners_hp(fake, tmp_path):
    def space(hp):
        changes = {"learning_rate": hp.Float("rate", 1e-3, 1e-1, sampling="log")}
        if hp.Boolean("small"):
            changes["peft"] = {"method": "lora", "rank": hp.Int("rank", 2, 8, step=2)}
        return changes

    found = kft.search(settings(tmp_path / "s"), space, trials=6, keep_all=True)
    kinds = set()
    for one in found.trials:
        place = tmp_path / "s" / ("best" if one is found.best else "trials")
        place = place if one is found.best else place / one["id"]
        recipe = from_yaml(kft.FinetuneSettings, place / "recipe.yaml")
        assert recipe.learning_rate == one["values"]["rate"]
        small = one["values"]["small"]
        kinds.add(small)
        if small:
            assert recipe.peft == {"method": "lora", "rank": one["values"]["rank"]}
        else:
            assert recipe.peft is None
    assert kinds == {True, False}


@pytest.mark.parametrize(
    "variable, value, words",
    [
        ("KILLED", str(int(signal.SIGKILL)), "killed (SIGKILL)"),
        ("KILLED", str(int(signal.SIGABRT)), "crashed (SIGABRT)"),
        ("SAID", "no such thing", "ended with code 1: no such thing"),
    ],
)
def test_what_kills_a_trial_is_its_reason_and_the_search_goes_on(
    variable, value, words, fake, tmp_path, monkeypatch
):
    monkeypatch.setenv(variable, value)
    found = kft.search(settings(tmp_path / "s"), GRID, algorithm="grid")
    states = {one["values"]["batch_size"]: one["state"] for one in found.trials}
    assert states == {8: "failed", 16: "completed"}
    reasons = {one["reason"] for one in found.trials if one["state"] == "failed"}
    assert len(reasons) == 1 and words in reasons.pop()
    assert found.best["values"]["learning_rate"] == 1e-2


def test_without_a_trial_that_succeeds_all_reasons_are_told(
    fake, tmp_path, monkeypatch
):
    monkeypatch.setenv("SAID", "no such thing")
    with pytest.raises(SettingsError, match=r"trial 0+: .*no such thing"):
        kft.search(settings(tmp_path / "s"), {"batch_size": [8]})
    assert not (tmp_path / "s" / "best.yaml").exists()


KILLED = """
import sys
import kerasft as kft
from kerasft.workflows import trial_processes
trial_processes.COMMAND = (sys.executable, sys.argv[1])
kft.search(kft.FinetuneSettings(checkpoint="tiny", train="train.csv", out=sys.argv[2],
    validation="valid.csv", text="review", label="stars", epochs=1),
    {"learning_rate": {"min": 1e-4, "max": 1.0, "sampling": "log"}}, trials=6,
    algorithm=sys.argv[3])
"""


def test_a_search_that_is_stopped_goes_on_with_the_same_trials(
    fake, tmp_path, monkeypatch, capsys
):
    show = Screen.show

    def stopped(screen, found):
        show(screen, found)
        if sum(one["state"] == "completed" for one in found.trials) == 2:
            raise KeyboardInterrupt

    space = {"learning_rate": {"min": 1e-4, "max": 1.0, "sampling": "log"}}
    how = {"algorithm": "bayesian", "trials": 5}
    with monkeypatch.context() as patch:
        patch.setattr(Screen, "show", stopped)
        with pytest.raises(KeyboardInterrupt):
            kft.search(settings(tmp_path / "stopped"), space, **how)
    assert len(fake()) == 2
    capsys.readouterr()
    found = kft.search(settings(tmp_path / "stopped"), space, **how)
    told = capsys.readouterr().out
    assert told.startswith("Going on: 2 of 5 trials at most ended before.\n")
    assert [f"trial {i} (" in told for i in range(5)] == [False] * 2 + [True] * 3
    alone = kft.search(settings(tmp_path / "alone"), space, **how)
    assert len(fake()) == 10
    assert found.trials == alone.trials


@pytest.mark.slow
def test_a_search_that_is_killed_goes_on_with_the_same_trials(fake, here, tmp_path):
    source = str(Path(kft.__file__).parents[1])
    slow = os.environ | {"SLOWLY": "0.3", "PYTHONPATH": source}
    command = [sys.executable, "-c", KILLED, str(tmp_path / "fake.py")]
    command += [str(tmp_path / "killed"), "bayesian"]
    process = subprocess.Popen(command, env=slow, cwd=here)
    while len(fake()) < 2:
        time.sleep(0.05)
        assert process.poll() is None
    process.send_signal(signal.SIGKILL)
    process.wait()
    space = {"learning_rate": {"min": 1e-4, "max": 1.0, "sampling": "log"}}
    how = {"algorithm": "bayesian", "trials": 6}
    found = kft.search(settings(tmp_path / "killed"), space, **how)
    alone = kft.search(settings(tmp_path / "alone"), space, **how)
    values = [[one["values"] for one in some.trials] for some in (found, alone)]
    assert values[0] == values[1]
    assert found.best["score"] == alone.best["score"]


def begun(out, space):
    """A search whose first trial could not be started."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trial_processes, "COMMAND", ("/nowhere",))
        with pytest.raises(FileNotFoundError):
            kft.search(settings(out), space)


def test_a_search_does_not_go_on_with_other_settings(fake, tmp_path):
    begun(tmp_path / "s", GRID)
    with pytest.raises(SettingsError, match="other settings.*batch_size: 16"):
        kft.search(settings(tmp_path / "s", batch_size=4), GRID)
    kft.search(settings(tmp_path / "s"), GRID, trials=2)
    with pytest.raises(SettingsError, match="finished search"):
        kft.search(settings(tmp_path / "s"), GRID, trials=2)


def test_a_search_does_not_go_on_with_another_space(fake, tmp_path):
    def one(hp):
        return {"batch_size": hp.Choice("batch_size", [8, 16])}

    def other(hp):
        return {"batch_size": hp.Choice("batch_size", [8, 16, 32])}

    begun(tmp_path / "s", one)
    with pytest.raises(SettingsError, match="another space"):
        kft.search(settings(tmp_path / "s"), other)
    assert len(kft.search(settings(tmp_path / "s"), one).trials) == 2


@pytest.mark.parametrize(
    "space, words",
    [
        ({}, ["space is empty", "batch_size: [8, 16, 32]"]),
        ({"learning_rat": [1.0]}, ["Did you mean 'learning_rate'?"]),
        ({"batch_size.x": [1]}, ["No setting named 'batch_size.x'"]),
        ({"batch_size": []}, ["batch_size", "the list is empty"]),
        ({"batch_size": 8}, ["is 8; give a list"]),
        ({"batch_size": ["many"]}, ["batch_size: 'many'"]),
        ({"batch_size": [8, -1]}, ["batch_size is -1; it is at least 1"]),
        ({"epochs": {"min": 1.5, "max": 3}}, ["epochs: 1.5"]),
        ({"warmup": {"min": 0.1, "max": 1.5}}, ["warmup is 1.5"]),
        ({"warmup": {"min": 0.2, "max": 0.1}}, ["0.1, is not above it"]),
        ({"warmup": {"low": 0.2, "max": 0.1}}, ["has low, max", "min, max, step"]),
        ({"warmup": {"min": 0, "max": 0.1, "sampling": "log"}}, ["it is above 0"]),
        ({"warmup": {"min": 0.1, "max": 0.2, "sampling": "lin"}}, ["linear, log"]),
        ({"warmup": {"min": "a", "max": 0.2}}, ["min is 'a'; it is a number"]),
        ({"warmup": {"min": 0.1, "max": 0.2, "step": 0}}, ["step is 0"]),
        ({"schedule": ["linear", "square"]}, ["square"]),
        ({"peft.rank": [4]}, ["peft has no method"]),
        ({"peft": ["lora", "lorra"]}, ["Did you mean 'lora'?"]),
        ({"monitor": ["val_loss"]}, ["the same for all trials"]),
        ({"out": ["a"], "batch_size": []}, ["out: ", "batch_size: "]),
    ],
)
def test_a_mistake_in_the_space_is_told_before_the_first_trial(space, words, here):
    before = sorted(here.rglob("*"))
    with pytest.raises(SettingsError) as told:
        kft.search(settings("runs/never"), space)
    for word in words:
        assert word in str(told.value)
    assert sorted(here.rglob("*")) == before


@pytest.mark.parametrize(
    "changes, words",
    [
        (["--validation", "null"], ["validation rows"]),
        (["--monitor", "val_magic"], ["val_magic", "mode"]),
        (["--text", "reviw"], ["Did you mean 'review'?"]),
        (["--folds", "3"], ["no folds"]),
        (["--out", "tiny"], ["not empty and no search"]),
        (["--out", "train.csv"], ["is a file"]),
        (["--trials", "0"], ["trials is 0"]),
        (["--algorithm", "grid"], ["`step`"]),
        (["--algorithm", "hyperband", "--space.epochs", "[1,2]"], ["the epochs"]),
        (["--crf", "true"], ["token_classifier"]),
    ],
)
def test_a_mistake_in_the_settings_is_told_before_the_first_trial(
    changes, words, here, refused
):
    before = sorted(here.rglob("*"))
    command = "search --checkpoint tiny --train train.csv --text review --label stars"
    space = '{"warmup": {"min": 0.0, "max": 0.5}}'
    told = refused(*command.split(), "--out", "runs/never", "--space", space, *changes)
    for word in words:
        assert word in told
    assert sorted(here.rglob("*")) == before


def test_a_recipe_may_hold_the_space(here):
    (here / "space.yaml").write_text(
        "space:\n  learning_rate: {min: 1e-5, max: 1e-3, sampling: log}\n"
        "  batch_size: [8, 16]\n  peft.rank: [4, 8]\npeft: lora\ntrials: 3\n"
    )
    (here / "base.yaml").write_text(
        "checkpoint: tiny\ntrain: train.csv\ntext: review\nlabel: stars\nout: x\n"
    )
    _, parsed = cli.parse(
        ["search", "--config", "base.yaml", "--config", "space.yaml", "--trials", "4"]
    )
    assert parsed.space == {
        "learning_rate": {"min": 1e-5, "max": 1e-3, "sampling": "log"},
        "batch_size": [8, 16],
        "peft.rank": [4, 8],
    }
    assert (parsed.trials, parsed.checkpoint) == (4, "tiny")


def test_reasons_are_short_and_say_what_kind():
    class ResourceExhaustedError(Exception):
        pass

    assert reason_of(ResourceExhaustedError("a\nb")) == "out of memory: a b"
    places = "Detected at node mul_6 defined at (most recent call last): " + "x" * 400
    what = "OOM when allocating tensor with shape[4096,128] and type float"
    told = ResourceExhaustedError(f"{places}\n\n{what} on /job:localhost by mklcpu")
    assert reason_of(told) == f"out of memory: {what}"
    what = "Out of memory allocating 4000000000000 bytes"  # JAX
    told = RuntimeError(f"RESOURCE_EXHAUSTED: {what}.")
    assert reason_of(told) == f"out of memory: {what}"
    assert reason_of(MemoryError("x")) == "out of memory: x"
    assert reason_of(FloatingPointError("nan")) == "not a number: nan"
    assert reason_of(SettingsError("mend it")) == "mend it"
    assert reason_of(ValueError("v")) == "ValueError: v"
    assert len(reason_of(ValueError("long " * 100))) == 300


def test_the_score_is_that_of_the_epoch_that_is_kept():
    history = {"val_loss": [3.0, 1.0, float("nan")], "val_f1": [0.5, 0.7, 0.7]}
    run = Run(Path(), None, {"validation": {"mae": 2.0}}, history)
    assert score_of(run, "val_loss") == (1.0, 2)
    assert score_of(run, "val_f1") == (0.7, 2)
    assert score_of(run, "val_mae") == (2.0, 1)
    with pytest.raises(SettingsError, match="val_mae"):
        score_of(run, "val_accuracy")
    with pytest.raises(FloatingPointError):
        score_of(replace(run, history={"val_loss": [float("nan")]}), "val_loss")
    assert (direction_of("val_loss"), direction_of("val_f1")) == (-1, 1)


def test_what_a_worker_begins_while_a_table_is_made_waits_for_the_next(tmp_path):
    begun = [SimpleNamespace(status="RUNNING") for _ in range(2)]
    oracle = SimpleNamespace(
        trials=dict(zip("01", begun, strict=True)), start_order=["0", "1"]
    )
    found = found_in(oracle, tmp_path, "val_loss", -1, {"0": {"batch_size": 8}})
    assert [one["id"] for one in found.trials] == ["0"]


def test_of_equal_scores_the_first_trial_is_the_best():
    trials = [
        {"id": str(i), "values": {}, "state": state, "score": score, "seconds": 4.0}
        for i, (state, score) in enumerate(
            [("failed", None), ("completed", 2.0), ("completed", 2.0)]
        )
    ]
    assert Found(Path(), trials, "val_f1", 1).best["id"] == "1"
    assert Found(Path(), trials[:1], "val_f1", 1).best is None
    assert remaining_seconds(trials, 7, 2) == 8.0
    assert remaining_seconds([], 7, 2) is None


@pytest.fixture(scope="module")
def searched(workplace):
    """A search of two trials that train, one of them with a rate that is too high."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(workplace)
        found = kft.search(
            settings("searches/real"),
            {"learning_rate": [1e-2, 1e30]},
            algorithm="grid",
        )
    return workplace, found


def test_a_loss_that_is_not_finite_is_a_failed_trial_with_its_reason(searched):
    _, found = searched
    good, bad = found.trials
    assert good["state"] == "completed" and good is found.best
    assert bad["state"] == "failed"
    assert "not a number: The loss of step" in bad["reason"]


def test_the_best_run_is_a_run_folder_with_the_score(searched, monkeypatch):
    place, found = searched
    monkeypatch.chdir(place)
    best = place / "searches/real/best"
    history = json.loads((best / "history.json").read_text())
    assert found.best["score"] == pytest.approx(min(history["val_loss"]), rel=1e-6)
    report = kft.evaluate(kft.EvaluateSettings(run=str(best), data="valid.csv"))
    assert 0 <= report["accuracy"] <= 1


def test_the_hparams_tab_has_the_searched_settings_and_the_score(searched):
    place, found = searched
    logs = place / "tb_logs/real" / found.best["id"] / "final"
    events = EventAccumulator(str(logs)).Reload()
    content = events.SummaryMetadata(
        hparams_metadata.SESSION_START_INFO_TAG
    ).plugin_data.content
    start = hparams_metadata.parse_session_start_info_plugin_data(content)
    told = {name: value.number_value for name, value in start.hparams.items()}
    assert told == {"learning_rate": 1e-2}
    assert "score/val_loss" in events.Tags()["tensors"]
    events = EventAccumulator(str(place / "tb_logs/real")).Reload()
    content = events.SummaryMetadata(hparams_metadata.EXPERIMENT_TAG)
    told = hparams_metadata.parse_experiment_plugin_data(content.plugin_data.content)
    assert [one.name for one in told.hparam_infos] == ["learning_rate"]
    assert [one.name.tag for one in told.metric_infos] == ["score/val_loss"]


def test_what_refuses_the_first_two_trials_is_an_error_of_the_search(
    fake, tmp_path, monkeypatch
):
    monkeypatch.setenv("REFUSED", "max_length is 99, but the model has 40 positions.")
    with pytest.raises(SettingsError, match="as all would be: max_length is 99"):
        kft.search(settings(tmp_path / "s"), {"batch_size": [8, 16, 32]})
    assert not (tmp_path / "s").exists()


@pytest.mark.slow
def test_a_monitor_that_is_not_measured_is_told_once_a_model_is_loaded(here, tmp_path):
    with pytest.raises(SettingsError, match="as all would be: monitor is 'val_mae'"):
        kft.search(
            settings(tmp_path / "s", monitor="val_mae"), {"batch_size": [8, 16, 32]}
        )
    assert not (tmp_path / "s").exists()


def test_gpus_are_dealt_out_and_cores_divided(monkeypatch):
    monkeypatch.setattr(trial_processes, "_gpus", lambda: ["0", "1", "2"])
    shares = [one["CUDA_VISIBLE_DEVICES"] for one in trial_processes.places(2)]
    assert shares == ["0,2", "1"]
    many = trial_processes.places(4)
    assert [one["CUDA_VISIBLE_DEVICES"] for one in many] == ["0", "1", "2", "0"]
    assert all(one["TF_FORCE_GPU_ALLOW_GROWTH"] == "true" for one in many)
    monkeypatch.setattr(trial_processes, "_gpus", lambda: [])
    monkeypatch.setattr(os, "cpu_count", lambda: 4)
    assert trial_processes.places(1) == [{}]
    assert trial_processes.places(2)[0]["TF_NUM_INTRAOP_THREADS"] == "2"
    assert re.fullmatch(r"\d+", trial_processes.places(9)[8]["OMP_NUM_THREADS"])
