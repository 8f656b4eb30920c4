"""The commands of a tagger: from tagged words to entities in a user's own rows."""

import csv
import json

import pytest
from tiny_tasks import tiny_tagged
from transformers import AutoModelForTokenClassification

from kerasft.workflows import cli

FINETUNE = """finetune --task token_classifier --checkpoint tiny --train train.conll
    --validation valid.conll --epochs 2 --batch-size 8 --learning-rate 5e-3
    --scheme IOB2 --crf true --monitor val_f1 --out runs/tags""".split()


def write_conll(path, rows):
    lines = []
    for i in range(len(rows)):
        pairs = zip(*rows[i].values(), strict=True)
        lines += [f"{word} _ {tag}" for word, tag in pairs] + [""]
    path.write_text("\n".join(lines))
    return path


def write_spans(path, rows):
    """The same rows as texts with spans of one word each."""
    lines = []
    for i in range(len(rows)):
        text, spans = "", []
        for word, tag in zip(*rows[i].values(), strict=True):
            if tag != "O":
                spans.append([len(text), len(text) + len(word), tag[2:]])
            text += word + " "
        lines.append(json.dumps({"review": text, "found": spans}))
    path.write_text("\n".join(lines))


@pytest.fixture(scope="module")
def tagged(workplace):
    """The working folder with tagged rows and a finished run on them."""
    for name, count, seed in (("train", 48, 0), ("valid", 16, 1), ("test", 9, 2)):
        write_conll(workplace / f"{name}.conll", tiny_tagged(count, seed))
        write_spans(workplace / f"{name}.spans.jsonl", tiny_tagged(count, seed))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(workplace)
        assert cli.main(FINETUNE) == 0
    return workplace


def run(*arguments):
    assert cli.main([str(argument) for argument in arguments]) == 0


def test_a_run_holds_a_tagger_its_report_and_its_card(tagged):
    folder = tagged / "runs/tags"
    metrics = json.loads((folder / "metrics.json").read_text())["validation"]
    assert {"accuracy", "f1_micro", "f1/GOOD", "support/BAD"} <= set(metrics)
    history = json.loads((folder / "history.json").read_text())
    assert metrics["f1_micro"] == pytest.approx(max(history["val_f1"]), abs=1e-6)
    assert "GOOD" in (folder / "report.txt").read_text()
    assert (folder / "figures/validation_f1_by_type.png").exists()
    assert "pipeline_tag: token-classification" in (folder / "README.md").read_text()
    model = AutoModelForTokenClassification.from_pretrained(folder)
    assert model.config.id2label[0] == "O"


def test_a_tagger_is_measured_on_other_rows(tagged, monkeypatch):
    monkeypatch.chdir(tagged)
    run("evaluate", "runs/tags", "--data", "test.conll")
    metrics = json.loads(
        (tagged / "runs/tags/evaluation-test/metrics.json").read_text()
    )
    assert metrics["rows"] == 9 and 0 <= metrics["f1_micro"] <= 1


def test_entities_are_found_in_a_users_own_rows(tagged, monkeypatch, capsys):
    monkeypatch.chdir(tagged)
    run(
        "predict",
        "runs/tags",
        "--data",
        "test.csv",
        "--text",
        "review",
        "--out",
        "e.csv",
    )
    with open("e.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 21 and rows[0]["id"] == "0"
    for row in rows:
        for one in json.loads(row["entities"]):
            assert row["review"][one["start"] : one["end"]] == one["text"]
    run("predict", "runs/tags", "--data", "test.conll")
    told = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert len(told) == 9 and set(told[0]) == {"words", "entities"}


def test_texts_with_spans_train_a_tagger_too(tagged, monkeypatch):
    monkeypatch.chdir(tagged)
    run(
        *"finetune --task token_classifier --checkpoint tiny --epochs 1".split(),
        *"--train train.spans.jsonl --text review --spans found".split(),
        *"--validation 0.2 --out runs/spans".split(),
    )
    config = json.loads((tagged / "runs/spans/config.json").read_text())
    assert set(config["label2id"]) == {"O", "B-BAD", "I-BAD", "B-GOOD", "I-GOOD"}


def test_settings_of_another_task_are_refused(tagged, refused, monkeypatch):
    monkeypatch.chdir(tagged)
    told = refused(*FINETUNE[:-1], "x", "--problem", "regression", "--text-pair", "b")
    assert "problem (text_classifier)" in told and "text_pair" in told
    told = refused(
        *"finetune --checkpoint tiny --train train.csv --out x --crf true".split()
    )
    assert "crf (token_classifier)" in told


def test_mistakes_in_tagged_files_are_told(tagged, refused, monkeypatch):
    monkeypatch.chdir(tagged)
    words = [*FINETUNE[:-1], "x", "--train"]
    assert "--words and --tags" in refused(*words, "test.spans.jsonl")
    (tagged / "odd.conll").write_text("film\n\nfilm _ O\n")
    assert "odd.conll:1: found 1 columns" in refused(*words, "odd.conll")
    (tagged / "new.conll").write_text("film _ B-NEW\n")
    assert "B-NEW" in refused(*words, "train.conll", "--validation", "new.conll")
    assert "val_f1" in refused(*words, "train.conll", "--monitor", "val_f2")
