import subprocess
import sys
from dataclasses import dataclass, fields, replace

import pytest
from jsonargparse import ArgumentParser

from kerasft._errors import SettingsError
from kerasft.tasks import text_classifier
from kerasft.training import devices, jax_devices
from kerasft.training.settings import Settings, TrainingSettings, at_least, setting
from kerasft.workflows import COMMANDS, cli, text_job
from kerasft.workflows.finetune import FinetuneSettings
from kerasft.workflows.flags import from_yaml, parser_of, to_yaml
from kerasft.workflows.jobs import JOBS

NEEDED = "finetune --checkpoint bert --train a.csv --out run".split()
HEAVY = ("tensorflow", "keras", "transformers", "pyarrow", "torch", "numpy")


@pytest.mark.parametrize(
    "arguments", [["--help"], ["finetune", "--help"], ["--version"]]
)
def test_help_loads_nothing_heavy(arguments):
    assert _loaded(f"sys.argv[1:] = {arguments}; runpy.run_module('kerasft')") == "[]"


def test_importing_the_package_loads_nothing_heavy():
    assert _loaded("import kerasft") == "[]"


def _loaded(code):
    """The heavy modules that a program has loaded at its end."""
    check = f"print([m for m in {HEAVY} if m in sys.modules], file=sys.stderr)"
    program = f"import runpy, sys\ntry:\n    {code}\nfinally:\n    {check}"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True
    )
    assert done.returncode == 0
    return done.stderr.strip()


@pytest.mark.parametrize("name", COMMANDS)
def test_help_shows_each_flag_with_its_help_and_default(name, capsys):
    with pytest.raises(SystemExit) as end:
        cli.main([name.replace("_", "-"), "--help"])
    assert end.value.code == 0
    told = " ".join(capsys.readouterr().out.split())
    _, settings = cli._load(name)
    for f in fields(settings):
        assert f.metadata["help"] in told
        if not f.metadata["positional"]:
            assert f"--{f.name.replace('_', '-')}" in told
    assert told.count("default: ") + told.count("(required") >= len(fields(settings))


def test_a_recipe_says_the_same_as_its_flags(tmp_path, capsys):
    flags = """--validation 0.2 --label [a,b] --label-type names --labels [x,2]
        --class-weight {"x":1.5,"2":0.5} --new-head --clip-norm null --jit-compile true
        --learning-rate 3e-5 --test [t.csv,u.csv]""".split()
    _, settings = cli.parse([*NEEDED, *flags])
    with pytest.raises(SystemExit):
        cli.main([*NEEDED, *flags, "--print-config"])
    recipe = tmp_path / "r.yaml"
    recipe.write_text(capsys.readouterr().out)
    assert cli.parse(["finetune", "--config", str(recipe)])[1] == settings
    assert from_yaml(FinetuneSettings, recipe) == settings
    assert to_yaml(settings) == recipe.read_text()


def test_later_flags_override_a_recipe(tmp_path):
    recipe = tmp_path / "r.yaml"
    recipe.write_text("checkpoint: bert\ntrain: a.csv\nout: run\nepochs: 2\nseed: 5\n")
    _, settings = cli.parse(["finetune", "--config", str(recipe), "--epochs", "9"])
    assert (settings.epochs, settings.seed) == (9, 5)


def test_a_class_is_a_group_of_the_help():
    @dataclass(frozen=True, kw_only=True)
    class Little(Settings):
        """Little things."""

        count: int = setting(1, "how many", at_least(1))

    told = parser_of(Little).format_help()
    assert isinstance(parser_of(Little), ArgumentParser)
    assert "Little things:" in told
    assert "how many (type: int, default: 1)" in told


def test_all_settings_out_of_bounds_are_told_at_once():
    with pytest.raises(SettingsError) as error:
        FinetuneSettings(
            checkpoint="bert",
            train="a.csv",
            out="run",
            epochs=0,
            warmup=1.0,
            schedule="cubic",
            class_weight="even",
        )
    for word in ("epochs", "warmup", "schedule", "class_weight"):
        assert word in str(error.value)


def test_settings_are_frozen_but_can_be_replaced():
    settings = TrainingSettings()
    assert replace(settings, epochs=5).epochs == 5
    with pytest.raises(AttributeError):
        settings.epochs = 5


def test_problems_and_label_types_are_those_of_the_task():
    assert text_job.LABEL_TYPES == text_classifier.LABEL_TYPES


@pytest.mark.parametrize(
    "arguments, words",
    [
        (["finetnue"], ["finetnue", "finetune"]),
        (["finetune"], ["--checkpoint", "--train", "--out"]),
        ([*NEEDED, "--epoch-count", "3"], ["--epoch-count"]),
        ([*NEEDED, "--epochs", "many"], ["--epochs", "many"]),
        ([*NEEDED, "--labels", "3"], ["--labels: Cannot be 3"]),
        ([*NEEDED, "--epochs", "0"], ["epochs is 0", "at least 1"]),
        ([*NEEDED, "--warmup", "100"], ["warmup is 100", "below 1"]),
        ([*NEEDED, "--schedule", "cubic"], ["--schedule", "cubic", "cosine"]),
        ([*NEEDED, "--validation", "1.5"], ["validation is 1.5"]),
        ([*NEEDED, "--validation", "null", "--patience", "2"], ["patience"]),
        ([*NEEDED, "--problem", "regression", "--label-type", "name"], ["'number'"]),
        (["finetune", "--config", "missing.yaml"], ["--config", "missing.yaml"]),
        (["finetune", "--config", "bad.yaml"], ["--config", "no YAML", "line 2"]),
        (["finetune", "--config", "unknown.yaml"], ["epoch_count"]),
        (["finetune", "--config", "wrong.yaml"], ["--epochs"]),
        (["predict", "run"], ["--data"]),
        (["predict", "run", "--data", "a.csv", "--out", "a.csv"], ["a.csv"]),
        (["predict", "run", "--data", "a.csv", "--out", "a.xlsx"], [".jsonl or .csv"]),
    ],
)
def test_a_mistake_on_the_command_line_is_one_message(
    arguments, words, refused, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "bad.yaml").write_text("epochs: [1, 2\nout: }")
    (tmp_path / "unknown.yaml").write_text("epoch_count: 3\n")
    (tmp_path / "wrong.yaml").write_text("epochs: many\n")
    told = refused(*arguments)
    assert len(told) < 1500
    for word in words:
        assert word in told


def test_interruption_is_one_line_and_130(monkeypatch, capsys):
    def interrupted(settings):
        """Stop."""
        raise KeyboardInterrupt

    monkeypatch.setattr("kerasft.workflows.inspect.inspect", interrupted)
    assert cli.main(["inspect", "run"]) == 130
    assert capsys.readouterr().err == "Interrupted.\n"


def test_a_defect_keeps_its_traceback(monkeypatch):
    def broken(settings):
        """Break."""
        raise RuntimeError("ours")

    monkeypatch.setattr("kerasft.workflows.inspect.inspect", broken)
    with pytest.raises(RuntimeError):
        cli.main(["inspect", "run"])


def test_help_names_the_tasks_and_strategies_there_are(capsys):
    with pytest.raises(SystemExit):
        cli.main(["finetune", "--help"])
    told = " ".join(capsys.readouterr().out.split())
    names = {*JOBS, *devices.STRATEGIES, *jax_devices.STRATEGIES}
    assert names <= set(told.translate(str.maketrans(",;", "  ")).split())


@pytest.mark.parametrize(
    "flags, wanted",
    [
        (["--new-head"], True),
        (["--new-head", "true"], True),
        (["--new-head=false"], False),
        (["--no-new-head"], False),
        (["--no-new-head", "--restart"], False),
    ],
)
def test_a_switch_is_turned_with_or_without_a_value(flags, wanted):
    _, settings = cli.parse([*NEEDED, *flags])
    assert settings.new_head is wanted


def test_a_switch_that_is_neither_on_nor_off_is_refused(capsys):
    assert cli.main([*NEEDED, "--new-head", "maybe"]) == 2
    assert "neither true nor false: 'maybe'" in capsys.readouterr().err


def test_without_a_command_all_of_them_are_shown(capsys):
    with pytest.raises(SystemExit) as end:
        cli.main([])
    assert end.value.code == 0
    told = capsys.readouterr().out
    assert all(name.replace("_", "-") in told for name in COMMANDS)
