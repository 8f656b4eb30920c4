"""The commands of multiple choice: from JSON lines to the right continuation."""

import json

import pytest
from tiny_tasks import tiny_choices
from transformers import AutoModelForMultipleChoice

import kerasft as kft
from kerasft.workflows import cli

FINETUNE = """finetune --task multiple_choice --checkpoint tiny --train
    train.choices.jsonl
    --validation valid.choices.jsonl --context film --epochs 2 --batch-size 8
    --learning-rate 5e-3 --monitor val_accuracy --out runs/choices""".split()


def write_choices(path, rows, **more):
    lines = []
    for i in range(len(rows)):
        row = rows[i]
        lines.append({"film": row.pop("context"), "number": i, **row, **more})
    path.write_text("\n".join(map(json.dumps, lines)))


@pytest.fixture(scope="module")
def chosen(workplace):
    """The working folder with rows of choices and a finished run on them."""
    for name, count, seed in (("train", 48, 0), ("valid", 16, 1), ("test", 9, 2)):
        write_choices(workplace / f"{name}.choices.jsonl", tiny_choices(count, seed))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(workplace)
        assert cli.main(FINETUNE) == 0
    return workplace


def test_a_run_holds_a_model_of_choices_and_its_accuracy(chosen):
    folder = chosen / "runs/choices"
    metrics = json.loads((folder / "metrics.json").read_text())["validation"]
    history = json.loads((folder / "history.json").read_text())
    best = max(history["val_accuracy"])
    assert metrics["accuracy"] == pytest.approx(best, abs=1e-6)
    rows = tiny_choices(16, 1)
    blind = sum(1 / len(rows[i]["choices"]) for i in range(16)) / 16
    assert metrics["guessing"] == pytest.approx(blind)
    card = (folder / "README.md").read_text()
    assert "pipeline_tag: multiple-choice" in card and '"choices": [' in card
    AutoModelForMultipleChoice.from_pretrained(folder)


def test_choices_are_measured_and_made_in_a_users_own_rows(chosen, monkeypatch, capsys):
    monkeypatch.chdir(chosen)
    data = ["--data", "test.choices.jsonl"]
    assert cli.main(["evaluate", "runs/choices", *data]) == 0
    found = json.loads(
        (chosen / "runs/choices/evaluation-test.choices")
        .joinpath("metrics.json")
        .read_text()
    )
    capsys.readouterr()
    assert cli.main(["predict", "runs/choices", *data]) == 0
    told = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [row["number"] for row in told] == list(range(9))
    task = kft.MultipleChoice.from_pretrained("runs/choices")
    rows = tiny_choices(9, 2)
    asked = task.predict_text([rows[i] for i in range(9)])
    for row, answer in zip(told, asked, strict=True):
        assert row["choices"][row["index"]] == row["choice"]
        assert row["scores"] == pytest.approx(answer["scores"], abs=1e-5)
    right = [row["index"] == row["label"] for row in told]
    assert found["accuracy"] == pytest.approx(sum(right) / 9)


def test_each_choice_may_have_a_key_of_its_own_and_a_question(chosen, monkeypatch):
    monkeypatch.chdir(chosen)
    row = {"text": "a film", "asked": "is it", "A": "good", "B": "bad", "right": "B"}
    (chosen / "keys.jsonl").write_text("\n".join([json.dumps(row)] * 4))
    run = """finetune --task multiple_choice --checkpoint tiny --train keys.jsonl
        --context text --question asked --choices [A,B] --label right --epochs 1
        --validation null --out runs/keys""".split()
    assert cli.main(run) == 0
    assert cli.main("predict runs/keys --data keys.jsonl --out k.jsonl".split()) == 0
    told = json.loads((chosen / "k.jsonl").read_text().splitlines()[0])
    assert told["choice"] in ("good", "bad")


@pytest.mark.parametrize(
    "changes, words",
    [
        (["--train", "train.csv"], ["in .jsonl"]),
        (["--label", "null"], ["label is None", "one key"]),
        (["--context", "context"], ["'context'"]),
        (["--label-smoothing", "0.1"], ["label_smoothing (", "text_classifier"]),
        (["--labels", "[a,b]"], ["labels ("]),
    ],
)
def test_mistakes_are_told(chosen, refused, monkeypatch, changes, words):
    monkeypatch.chdir(chosen)
    told = refused(*FINETUNE[:-1], "x", *changes)
    for word in words:
        assert word in told


def test_lines_of_input_are_no_choices(chosen, refused, monkeypatch):
    monkeypatch.chdir(chosen)
    told = refused("predict", "runs/choices", "--data", "-")
    assert "needs more than a line of text" in told
