"""Cross-validation trains each fold once, sums them up, and serves them as one."""

import json
import os

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_text  # noqa: F401
from workflow_files import FINETUNE

import kerasft as kft
from kerasft.workflows import cli
from kerasft.workflows.cross_validation import summary

WITH_FOLDS = [*FINETUNE[: FINETUNE.index("--validation")], *FINETUNE[7:]]


@pytest.fixture(scope="module")
def folds(workplace):
    """The folder of two folds."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(workplace)
        command = [*WITH_FOLDS, "--folds", "2", "--test", "test.csv", "--max-length"]
        assert cli.main([*command, "12", "--out", "runs/folds"]) == 0
    return workplace / "runs/folds"


def metrics_of(folder):
    return json.loads((folder / "metrics.json").read_text())


def test_each_fold_is_a_run_and_the_table_sums_them_up(folds):
    found = metrics_of(folds)
    runs = [metrics_of(folds / f"fold-{k}")["validation"] for k in (1, 2)]
    accuracy = [run["accuracy"] for run in runs]
    assert found["validation"]["accuracy"] == pytest.approx(np.mean(accuracy))
    assert found["spread"]["accuracy"] == pytest.approx(np.std(accuracy, ddof=1))
    rows = [run["support_macro"] for run in runs if "support_macro" in run]
    assert len(rows) in (0, 2)
    assert "mean" in (folds / "report.txt").read_text()
    assert {"test", "test_mean", "test_spread"} <= set(found)


def test_the_folder_is_evaluated_and_predicted_with_as_one(folds, here):
    rows = kft.read_csv("test.csv", text="review", label="stars")
    ensemble = kft.Ensemble.from_pretrained(folds, max_length=12)
    told = kft.evaluate(kft.EvaluateSettings(run=str(folds), data="test.csv"))
    assert told["accuracy"] == pytest.approx(metrics_of(folds)["test"]["accuracy"])
    assert told["accuracy"] == pytest.approx(ensemble.evaluate(rows)["accuracy"])
    assert (
        cli.main(["predict", str(folds), "--data", "test.csv", "--out", "f.jsonl"]) == 0
    )
    lines = [json.loads(line) for line in (here / "f.jsonl").read_text().splitlines()]
    answers = ensemble.predict_text(rows.texts())
    assert [one["label"] for one in lines] == [one["label"] for one in answers]


@pytest.mark.slow
def test_the_folder_is_exported_as_one(folds, here):
    ensemble = kft.Ensemble.from_pretrained(folds, max_length=12)
    rows = kft.read_csv("test.csv", text="review", label="stars")
    wanted = ensemble.probabilities(ensemble.predict_rows(rows))
    assert cli.main(["export", str(folds), "--out", "served-folds"]) == 0
    serve = tf.saved_model.load("served-folds").signatures["serving_default"]
    served = serve(text=tf.constant(rows.texts()))["probabilities"]
    np.testing.assert_allclose(served, wanted, atol=1e-5)


def test_finished_folds_are_not_trained_again(folds, here, capsys, refused):
    assert "holds a finished run" in refused(
        *WITH_FOLDS, "--folds", "2", "--out", str(folds)
    )
    (folds / "metrics.json").rename(folds / "before.json")
    weights = folds / "fold-1" / "model.safetensors"
    before = os.stat(weights).st_mtime_ns
    command = [*WITH_FOLDS, "--folds", "2", "--test", "test.csv", "--max-length", "12"]
    assert cli.main([*command, "--out", str(folds)]) == 0
    assert os.stat(weights).st_mtime_ns == before
    assert "fold-2 is finished" in capsys.readouterr().out
    again, told = metrics_of(folds), json.loads((folds / "before.json").read_text())
    assert again == told


def test_the_validation_of_a_recipe_is_put_aside_by_null():
    given = ["finetune", "--checkpoint", "tiny", "--train", "train.csv", "--text", "a"]
    given += ["--label", "b", "--out", "x", "--folds", "2", "--validation", "null"]
    _, settings = cli.parse(given)
    assert settings.is_cross_validation and settings.validation is None


@pytest.mark.parametrize(
    "changes, words",
    [
        (["--fold", "1"], ["give `folds`"]),
        (["--folds", "1"], ["folds is 1"]),
        (["--folds", "3", "--fold", "4"], ["there are 3 folds"]),
        (["--folds", "3", "--validation", "valid.csv"], ["leave out `validation`"]),
        (["--folds", "30"], ["for 30 folds"]),
    ],
)
def test_a_mistake_is_told_before_the_first_fold(changes, words, here, refused):
    before = sorted(here.rglob("*"))
    told = refused(*WITH_FOLDS, "--out", "runs/never", *changes)
    for word in words:
        assert word in told
    assert sorted(here.rglob("*")) == before


def test_the_spread_is_that_of_a_sample():
    told = summary([{"a": 1.0, "b": 2.0, "c": None}, {"a": 3.0, "c": 1.0}])
    assert told["validation"] == {"a": 2.0}
    assert told["spread"] == {"a": pytest.approx(2**0.5)}


def test_inspect_tells_of_the_folds_and_their_scores(folds, capsys):
    assert cli.main(["inspect", str(folds), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["kind"] == "cross-validation"
    assert told["folds"] == {"fold-1": "run", "fold-2": "run"}
    mean = metrics_of(folds)["validation"]["accuracy"]
    assert told["validation"]["accuracy"].startswith(f"{mean:.4f} (spread ")
    assert told["fold family"] == "bert"
