import csv
import json
import os
import subprocess
import sys
from dataclasses import replace
from io import BytesIO, TextIOWrapper
from pathlib import Path

import numpy as np
import pytest
import yaml
from transformers import AutoModelForSequenceClassification
from workflow_files import FINETUNE, films, write_csv

import kerasft as kft
from kerasft.workflows import cli
from kerasft.workflows.evaluate import EvaluateSettings
from kerasft.workflows.finetune import FinetuneSettings
from kerasft.workflows.flags import from_yaml
from kerasft.workflows.text_job import TextJob
from kerasft.workflows.training_rows import read_training_rows

WITH_PACKAGE = os.environ | {"PYTHONPATH": str(Path(kft.__file__).parents[1])}
REVIEWS = [row[1] for row in list(films(21, 2))[1:]]


def run(*arguments):
    assert cli.main([str(argument) for argument in arguments]) == 0


def json_lines(path):
    return [json.loads(line) for line in Path(path).read_text().splitlines()]


def test_a_run_folder_holds_checkpoint_recipe_report_and_card(run_folder):
    names = {path.name for path in run_folder.iterdir()}
    assert names >= {
        *("config.json", "model.safetensors", "tokenizer.json", "recipe.yaml"),
        *("metrics.json", "report.txt", "history.json", "README.md", "figures"),
    }
    metrics = json.loads((run_folder / "metrics.json").read_text())
    assert 0 <= metrics["validation"]["accuracy"] <= 1
    assert list((run_folder / "figures").glob("validation_confusion*.png"))
    history = json.loads((run_folder / "history.json").read_text())
    assert len(history["val_loss"]) == 1
    assert not list(run_folder.parent.glob(".*"))


def test_the_checkpoint_of_a_run_loads_in_transformers(run_folder):
    model = AutoModelForSequenceClassification.from_pretrained(run_folder)
    assert model.config.id2label == {0: "bad", 1: "good", 2: "meh"}


def test_the_recipe_of_a_run_says_how_it_was_made(run_folder):
    recipe = from_yaml(FinetuneSettings, run_folder / "recipe.yaml")
    assert (recipe.text, recipe.label, recipe.epochs) == ("review", "stars", 1)
    assert recipe.max_length == 12


def test_the_model_card_has_front_matter_metrics_and_fingerprints(run_folder):
    _, front, text = (run_folder / "README.md").read_text().split("---\n", 2)
    about = yaml.safe_load(front)
    assert "base_model" not in about  # It was a local folder.
    assert "`tiny` fine-tuned" in text
    results = about["model-index"][0]["results"]
    assert results[0]["metrics"][0]["type"] == "accuracy"
    assert "50 rows, SHA-256" in text
    assert str(run_folder.parent) not in text


@pytest.mark.slow
def test_the_best_epoch_is_what_is_kept(here):
    run(*FINETUNE, "--out", "runs/best", "--epochs", "3", "--monitor", "val_accuracy")
    folder = here / "runs/best"
    history = json.loads((folder / "history.json").read_text())
    metrics = json.loads((folder / "metrics.json").read_text())
    best = max(history["val_accuracy"])
    assert metrics["validation"]["accuracy"] == pytest.approx(best, abs=1e-6)


def test_a_share_of_train_is_split_off_by_seed(here):
    given = {"train": "train.csv", "text": "review", "label": "stars"}
    settings = FinetuneSettings(checkpoint="tiny", out="x", validation=0.2, **given)
    parts = read_training_rows(settings, TextJob()).parts
    assert len(parts["train"]) + len(parts["validation"]) == 50
    assert len(parts["validation"]) == 10
    again = read_training_rows(settings, TextJob()).parts
    assert again["validation"].fingerprint == parts["validation"].fingerprint
    other = read_training_rows(replace(settings, seed=1), TextJob()).parts
    assert other["validation"].fingerprint != parts["validation"].fingerprint


def test_rows_of_training_in_validation_are_told(here):
    given = {"train": "train.csv", "text": "review", "label": "stars"}
    settings = FinetuneSettings(
        checkpoint="tiny", out="x", validation="train.csv", **given
    )
    (leak,) = read_training_rows(settings, TextJob()).leaks()
    assert leak.startswith("validation: 50 of 50 rows are in the other corpus too")


def test_numbers_are_predicted_by_regression_without_validation(here):
    rows = [("text", "value"), *((text, i / 7) for i, text in enumerate(REVIEWS))]
    write_csv(here / "numbers.csv", rows)
    run(
        *"finetune --checkpoint tiny --train numbers.csv --label value".split(),
        *"--problem regression --validation null".split(),
        *"--epochs 1 --out runs/numbers".split(),
    )
    folder = here / "runs/numbers"
    assert json.loads((folder / "metrics.json").read_text()) == {}
    assert "There were no rows" in (folder / "README.md").read_text()
    run(*"predict runs/numbers --data numbers.csv --out n.jsonl --prefix my_".split())
    assert isinstance(json_lines("n.jsonl")[0]["my_value"], float)
    found = kft.evaluate(EvaluateSettings(run="runs/numbers", data="numbers.csv"))
    assert found["mae"] >= 0


def test_several_labels_a_row_come_from_jsonl(here):
    kinds = (["old"], ["old", "new"], ["new"], [])
    lines = [{"text": t, "label": kinds[i % 4]} for i, t in enumerate(REVIEWS)]
    Path("many.jsonl").write_text("\n".join(map(json.dumps, lines)))
    run(
        *"finetune --checkpoint tiny --train many.jsonl --epochs 1".split(),
        *"--class-weight balanced --out runs/many".split(),
    )
    run(*"predict runs/many --data many.jsonl --out m.csv".split())
    with open("m.csv", newline="") as file:
        first = next(csv.DictReader(file))
    assert set(json.loads(first["scores"])) == {"old", "new"}


def test_evaluate_takes_columns_and_length_from_the_run(here, run_folder, capsys):
    found = kft.evaluate(EvaluateSettings(run=str(run_folder), data="test.csv"))
    out = run_folder / "evaluation-test"
    assert json.loads((out / "metrics.json").read_text())["rows"] == 21
    assert (out / "figures" / "test_confusion_matrix.png").exists()
    assert "accuracy" in (out / "report.txt").read_text()
    assert "accuracy" in capsys.readouterr().out
    task = kft.TextClassifier.from_pretrained(run_folder, max_length=12)
    rows = kft.read_csv("test.csv", text="review", label="stars")
    predicted = task.predict_rows(rows).argmax(-1)
    truth = rows.label_array(task.labels)
    assert found["accuracy"] == pytest.approx(np.mean(predicted == truth))


def test_predict_keeps_the_users_columns_and_their_order(here, run_folder):
    run("predict", run_folder, "--data", "test.csv", "--out", "p.jsonl")
    found = json_lines("p.jsonl")
    assert [row["review"] for row in found] == REVIEWS
    assert list(found[0]) == ["id", "review", "stars", "label", "score", "scores"]
    task = kft.TextClassifier.from_pretrained(run_folder, max_length=12)
    for row, wanted in zip(found, task.predict_text(REVIEWS), strict=True):
        assert row["label"] == wanted["label"]
        assert row["score"] == pytest.approx(wanted["score"], abs=1e-5)
        assert sum(row["scores"].values()) == pytest.approx(1, abs=1e-5)


def test_predict_works_in_chunks(here, run_folder, monkeypatch):
    run("predict", run_folder, "--data", "test.csv", "--out", "whole.csv")
    monkeypatch.setattr("kerasft.workflows.predict.CHUNK", 8)
    run("predict", run_folder, "--data", "test.csv", "--out", "parts.csv")
    with open("whole.csv", newline="") as whole, open("parts.csv", newline="") as parts:
        for one, other in zip(
            csv.DictReader(whole), csv.DictReader(parts), strict=True
        ):
            assert (one["id"], one["label"]) == (other["id"], other["label"])


def test_parquet_keeps_its_other_columns(here, run_folder):
    import datetime

    import pyarrow as pa
    import pyarrow.parquet as pq

    day = datetime.date(2024, 2, 29)
    pq.write_table(pa.table({"review": REVIEWS[:3], "day": [day] * 3}), "p.parquet")
    run("predict", run_folder, "--data", "p.parquet", "--out", "d.jsonl")
    assert json_lines("d.jsonl")[2]["day"] == "2024-02-29"


def test_lines_of_standard_input_are_texts(here, run_folder, monkeypatch, capsys):
    lines = "a good film\n\nder Film, äh\r\n".encode()
    monkeypatch.setattr(sys, "stdin", TextIOWrapper(BytesIO(lines)))
    run("predict", run_folder, "--data", "-")
    found = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [row["text"] for row in found] == ["a good film", "", "der Film, äh"]
    assert set(found[0]) == {"text", "label", "score", "scores"}


def test_inspect_tells_what_a_run_holds(here, run_folder, capsys):
    run("inspect", run_folder, "--json")
    found = json.loads(capsys.readouterr().out)
    assert found["kind"] == "run"
    assert found["sizes"]["width"] == 32
    assert found["labels"] == ["bad", "good", "meh"]
    assert found["stored_as"] == "float32"
    assert found["tokenizer"]["type"] == "WordPiece"
    assert found["files"]["config.json"] > 0
    run("inspect", "tiny")
    told = capsys.readouterr().out
    assert "checkpoint" in told
    assert "bert" in told


def test_inspect_does_not_load_tensorflow(here, run_folder):
    program = (
        "import sys; from kerasft.workflows import cli; "
        f"cli.main(['inspect', {str(run_folder)!r}]); "
        "sys.exit('tensorflow' in sys.modules or 'keras' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], env=WITH_PACKAGE)
    assert done.returncode == 0


def test_export_is_verified_and_shown(here, run_folder, capsys):
    run("export", run_folder, "--out", "serving", "--data", "test.csv")
    told = capsys.readouterr().out
    assert "text: string (?,)" in told
    assert "tf.saved_model.load" in told
    run("inspect", "serving", "--json")
    assert json.loads(capsys.readouterr().out)["labels"] == ["bad", "good", "meh"]


@pytest.mark.slow
def test_every_command_works_from_a_shell(workplace):
    run_name = "runs/shell"
    for arguments in (
        [*FINETUNE, "--out", run_name],
        ["evaluate", run_name, "--data", "test.csv"],
        ["predict", run_name, "--data", "test.csv", "--out", "shell.jsonl"],
        ["export", run_name, "--out", "runs/shell-serving"],
        ["inspect", run_name],
    ):
        done = subprocess.run(
            [sys.executable, "-m", "kerasft", *arguments],
            cwd=workplace,
            capture_output=True,
            text=True,
            env=WITH_PACKAGE,
        )
        assert done.returncode == 0, done.stderr
        assert done.stdout or arguments[0] == "predict"
