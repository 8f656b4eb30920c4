"""Every job has a recipe that its command takes, and that says what it needs."""

import re
from pathlib import Path

import pytest
import yaml

from kerasft.workflows import cli
from kerasft.workflows.job import raise_if_foreign
from kerasft.workflows.jobs import JOBS
from kerasft.workflows.pretrain_jobs import OBJECTIVES

ROOT = Path(__file__).parents[2]
OTHERS = ("lora", "search")  # Of a method or a command, whatever the task.
RECIPES = sorted((ROOT / "examples" / "recipes").iterdir())


def test_every_job_has_a_recipe():
    jobs = {job.task for job in (*JOBS.values(), *OBJECTIVES.values())}
    assert {path.stem for path in RECIPES} == {*jobs, *OTHERS}


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_a_recipe_is_taken_by_the_command_in_its_header(path, monkeypatch):
    monkeypatch.chdir(ROOT)
    text = path.read_text("utf-8")
    header = text[: text.index("\n", text.rindex("\n#") + 1)]
    told = dict(re.findall(r"^# (Command|Needs|Gives) +(.+)$", header, re.M))
    program, *arguments = told["Command"].split()
    assert program == "kerasft" and path.name in told["Command"]
    name, settings = cli.parse(arguments)
    method = getattr(settings, "peft", None) and settings.method.kind
    assert path.stem in (settings.job.task, method, name)
    jobs = OBJECTIVES if name == "pretrain" else JOBS
    raise_if_foreign(settings, settings.job, jobs.values())
    for key, value in yaml.safe_load(text).items():
        assert getattr(settings, key) == value
    assert settings.train in told["Needs"]
    assert settings.out in told["Gives"]
