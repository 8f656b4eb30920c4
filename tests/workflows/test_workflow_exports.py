"""A run of every task becomes a SavedModel, or says why it does not."""

import keras
import pytest
import tensorflow as tf
from tiny_tasks import LABELS, TAGS

from kerasft.tasks import TASKS, exporting
from kerasft.workflows import cli
from kerasft.workflows.finetune import FinetuneSettings
from kerasft.workflows.flags import to_yaml
from kerasft.workflows.jobs import JOBS
from kerasft.workflows.pretrain import PretrainSettings
from kerasft.workflows.pretrain_jobs import OBJECTIVES

ARGUMENTS = {
    "text_classifier": {"labels": LABELS},
    "token_classifier": {"labels": TAGS},
    "relation_extractor": {"labels": LABELS},
    "triple_extractor": {"labels": ("by", "of")},
    "few_shot_classifier": {"labels": LABELS},
}
TAKES = {
    "question_answerer": ("context", "question"),
    "multiple_choice": ("choices", "context", "question"),
    "relation_extractor": ("head", "tail", "text"),
}
GIVEN = {"checkpoint": "tiny", "train": "train", "max_length": 16}
OF_TOKENS = ("mlm+nsp", "mlm+sop", "rtd", "clm", "causal_lm")
QUICK = ("relation_extractor", "mlm", "few_shot_classifier")


@pytest.fixture(autouse=True)
def little_proof(monkeypatch):
    """Fewer texts to verify on; the proof itself is tested in tests/serving."""
    monkeypatch.setattr(exporting, "VERIFIED_FUZZ", 20)


def finished_run(name, place):
    """The folder of a run that was not trained: a checkpoint and its recipe."""
    folder = place / "runs" / name
    given = GIVEN | {"out": str(folder)}
    if name in JOBS:
        settings, task = FinetuneSettings(task=name, **given), name
    else:
        settings = PretrainSettings(objective=name, **given)
        task = settings.job.task
    keras.utils.set_random_seed(0)
    made = TASKS[task].from_pretrained(
        place / "tiny", max_length=16, **ARGUMENTS.get(task, {})
    )
    made.save_pretrained(folder)
    (folder / "recipe.yaml").write_text(to_yaml(settings))
    return folder, task


def names():
    """Of the runs that serve strings; the quick ones differ most in their inputs."""
    for name in [*JOBS, *OBJECTIVES]:
        if name not in OF_TOKENS:
            marks = () if name in QUICK else pytest.mark.slow
            yield pytest.param(name, marks=marks)


@pytest.mark.parametrize("name", names())
def test_a_run_is_exported_with_the_inputs_of_its_task(name, workplace, capsys):
    folder, task = finished_run(name, workplace)
    out = workplace / "exported-runs" / name
    assert cli.main(["export", str(folder), "--out", str(out)]) == 0
    function = tf.saved_model.load(out).signatures["serving_default"]
    takes = function.structured_input_signature[1]
    assert tuple(sorted(takes)) == TAKES.get(task, ("text",))
    told, said = capsys.readouterr()
    assert said.startswith("Writing the SavedModel, and comparing")
    # What it prints as an example of use is one.
    example = told[told.index("serve(") : told.rindex(")") + 1]
    answers = eval(example, {"tf": tf, "serve": function})
    assert answers


def test_a_run_that_serves_no_strings_says_so(workplace, refused):
    folder, _ = finished_run("mlm+nsp", workplace)
    told = refused("export", str(folder), "--out", str(workplace / "none"))
    assert "token ids alone" in told
    assert not (workplace / "none").exists()
