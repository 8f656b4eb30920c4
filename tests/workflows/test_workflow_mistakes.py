import json
import os
import shutil
from pathlib import Path

import pytest
from workflow_files import FINETUNE, films, write_csv

from kerasft._errors import SettingsError
from kerasft.workflows import cli
from kerasft.workflows.run_folder import claim, raise_unless_writable, write_json


@pytest.mark.parametrize(
    "changes, words",
    [
        (["--train", "missing.csv"], ["missing.csv", "No such file"]),
        (["--train", "tiny"], ["tiny", ".csv"]),
        (["--train", "rows.xlsx"], ["rows.xlsx", ".parquet"]),
        (["--train", "[train.csv,rows.jsonl]"], ["all the same"]),
        (["--text", "reviw"], ["'reviw' for text", "Did you mean 'review'?"]),
        (["--label", "null"], ["name the column of the label"]),
        (
            ["--validation", "stranger.csv"],
            ["validation:", "'dreadful'", "stranger.csv"],
        ),
        (["--test", "stranger.csv"], ["test:", "'dreadful'"]),
        (["--labels", "[good,bad]"], ["train:", "'meh'"]),
        (["--label-type", "number"], ["train.csv:2", "a finite number"]),
        (["--problem", "regression"], ["train.csv:2", "a finite number"]),
        (["--delimiter", ";"], ["delimiter=','"]),
        (["--encoding", "utf-99"], ["utf-99", "cp1252"]),
        (["--train", "short.csv"], ["short.csv:3", "2 as in the header"]),
        (["--train", "one.csv", "--validation", "null"], ["two or more"]),
        (["--checkpoint", "nowhere/at all"], ["nowhere/at all"]),
        (["--checkpoint", "pickled"], ["pickled", "pytorch_model.bin", "safetensors"]),
        (["--checkpoint", "empty"], ["config.json"]),
        (["--strategy", "mirored"], ["Did you mean 'mirrored'?"]),
        (["--task", "text_clasifier"], ["Did you mean 'text_classifier'?"]),
        (["--monitor", "val_acc"], ["val_acc", "val_accuracy"]),
        (["--monitor", "val_mae"], ["val_mae", "val_accuracy"]),
        (["--max-length", "5000"], ["max_length is 5000"]),
        (["--class-weight", '{"good": 2.0}'], ["bad, meh"]),
        (["--tokens-per-batch", "3"], ["tokens_per_batch is 3"]),
        (["--out", "README.txt"], ["is a file"]),
        (["--out", "README.txt/run"], ["README.txt"]),
        (["--out", "tiny"], ["tiny", "config.json", "no recipe.yaml"]),
        (["--out", "."], ["current working directory"]),
    ],
)
def test_a_mistake_is_one_message_and_leaves_nothing(changes, words, here, refused):
    make_odd_files(here)
    before = sorted(here.rglob("*"))
    told = refused(*FINETUNE, "--out", "runs/never", *changes)
    for word in words:
        assert word in told
    assert sorted(here.rglob("*")) == before


def make_odd_files(here):
    header, *rows = films(12, 5)
    write_csv(here / "stranger.csv", [header, *rows, (12, "awful", "dreadful")])
    write_csv(here / "one.csv", [header, *((i, text, "good") for i, text, _ in rows)])
    (here / "short.csv").write_text("review,stars\na film,good\na film\n")
    for name in ("rows.xlsx", "rows.jsonl", "README.txt"):
        (here / name).touch()
    for name in ("pickled", "empty"):
        (here / name).mkdir(exist_ok=True)
    shutil.copy(here / "tiny" / "config.json", here / "pickled")
    for path in (here / "tiny").glob("tokenizer*"):
        shutil.copy(path, here / "pickled")
    (here / "pickled" / "pytorch_model.bin").write_bytes(b"PK\x03\x04")


def test_a_finished_run_is_not_overwritten(here, run_folder, refused):
    before = {path: path.stat().st_mtime_ns for path in run_folder.rglob("*")}
    told = refused(*FINETUNE, "--out", str(run_folder))
    assert "holds a finished run" in told
    assert {path: path.stat().st_mtime_ns for path in run_folder.rglob("*")} == before


@pytest.mark.parametrize(
    "arguments, words",
    [
        ("evaluate {run} --data missing.csv", ["missing.csv"]),
        ("evaluate {run} --data test.csv --label grade", ["'grade'"]),
        ("evaluate {run} --data stranger.csv", ["'dreadful'"]),
        (
            "evaluate {run} --data test.csv --report-rows 3",
            ["report_rows (causal_lm)", "'text_classifier'"],
        ),
        ("predict {run} --data test.csv --triples t", ["triples (triple_extractor)"]),
        ("export {run} --out s --scheme BIO", ["scheme"]),
        ("evaluate {run} --data test.csv --out test.csv", ["test.csv", "is a file"]),
        ("evaluate some/model --data test.csv", ["give --out"]),
        ("evaluate tiny --data test.csv --text review --label stars", ["head"]),
        ("predict tiny --data test.csv --text review --out p.csv", ["head"]),
        ("predict {run} --data test.csv --text body --out p.csv", ["'body'"]),
        ("predict {run} --data named.csv --out p.csv", ["'label'", "--prefix"]),
        ("predict {run} --data ragged.jsonl --out p.csv", ["'extra'", ".jsonl"]),
        ("predict {run} --data exported --out p.csv", ["exported"]),
        ("predict exported --data test.csv --out p.csv", ["is a SavedModel"]),
        ("export tiny --out s", ["head"]),
        ("export exported --out s", ["is a SavedModel"]),
        ("inspect nowhere/at/all", ["nowhere/at/all"]),
        ("inspect empty", ["neither config.json", "nothing"]),
        ("inspect pickled", ["pytorch_model.bin"]),
        ("inspect odd", ["config.json", "not a JSON object"]),
    ],
)
def test_a_mistake_with_a_run_is_one_message_and_leaves_nothing(
    arguments, words, here, run_folder, refused
):
    make_odd_files(here)
    write_csv(here / "named.csv", [("review", "label"), ("a film", "mine")])
    lines = [{"review": "a film"}, {"review": "a film", "extra": 1}]
    (here / "ragged.jsonl").write_text("\n".join(map(json.dumps, lines)))
    for name, file, content in (
        ("exported", "saved_model.pb", ""),
        ("odd", "config.json", "[]"),
    ):
        (here / name).mkdir(exist_ok=True)
        (here / name / file).write_text(content)
    before = sorted(here.rglob("*"))
    told = refused(*arguments.format(run=run_folder).split())
    for word in words:
        assert word in told
    assert sorted(here.rglob("*")) == before


def test_an_unfinished_run_may_be_begun_again(tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "recipe.yaml").write_text("")
    (tmp_path / "run" / "model.safetensors").touch()
    assert claim(str(tmp_path / "run")) == tmp_path / "run"


def test_a_folder_of_the_users_notes_may_hold_a_run(tmp_path):
    (tmp_path / "notes.txt").touch()
    assert claim(str(tmp_path)) == tmp_path


@pytest.mark.skipif(os.getuid() == 0, reason="root may write anywhere")
def test_a_folder_that_cannot_be_written_is_told_before_training(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(SettingsError, match="Permission denied"):
        raise_unless_writable(tmp_path / "run")


def test_a_failing_write_is_told_with_its_place(tmp_path, monkeypatch):
    def fails(dir):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("tempfile.TemporaryFile", fails)
    with pytest.raises(SettingsError, match="Permission denied"):
        raise_unless_writable(tmp_path / "a" / "b")


def test_json_is_written_whole_and_without_nan(tmp_path):
    path = tmp_path / "m.json"
    write_json(path, {"loss": [float("nan"), 1.0], 3: "ä"})
    assert json.loads(path.read_text()) == {"loss": [None, 1.0], "3": "ä"}
    with pytest.raises(TypeError):
        write_json(path, {"loss": {1, 2}})
    assert [p.name for p in tmp_path.iterdir()] == ["m.json"]


def test_nothing_of_predictions_is_left_when_a_later_chunk_fails(
    here, run_folder, monkeypatch
):
    def fails(*_):
        raise RuntimeError("full disk")

    monkeypatch.setattr("kerasft.workflows.predict.CHUNK", 8)
    monkeypatch.setattr("kerasft.workflows.predict._joined", fails)
    with pytest.raises(RuntimeError):
        cli.main(["predict", str(run_folder), "--data", "test.csv", "--out", "f.csv"])
    assert not list(Path().glob("*f.csv*"))


def test_a_backend_that_keras_does_not_know_is_told(refused, monkeypatch):
    monkeypatch.setenv("KERAS_BACKEND", "jaxx")
    told = refused("finetune", "--help")
    assert "KERAS_BACKEND is 'jaxx'" in told and "tensorflow, jax" in told
