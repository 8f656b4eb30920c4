"""The commands of a question answerer: from SQuAD files to answers."""

import json

import pytest
from tiny_tasks import tiny_questions

from kerasft.workflows import cli

FINETUNE = """finetune --task question_answerer --checkpoint tiny --train train.json
    --validation valid.jsonl --epochs 1 --batch-size 8 --learning-rate 1e-3
    --max-length 40 --max-answer-length 5 --out runs/questions""".split()


def write_squad(path, rows):
    paragraphs = []
    for i in range(len(rows)):
        row = rows[i]
        answers = [
            {"text": one["text"], "answer_start": one["start"]}
            for one in row["answers"]
        ]
        asked = {"id": str(i), "question": row["question"], "answers": answers}
        asked["is_impossible"] = not answers
        paragraphs.append({"context": row["context"], "qas": [asked]})
    content = {"version": "v2.0", "data": [{"title": "x", "paragraphs": paragraphs}]}
    path.write_text(json.dumps(content))


@pytest.fixture(scope="module")
def asked(workplace):
    """The working folder with questions and a finished run on them."""
    write_squad(workplace / "train.json", tiny_questions(24, 0))
    for name, count, seed in (("valid", 8, 1), ("test", 6, 2)):
        rows = tiny_questions(count, seed)
        lines = [json.dumps(rows[i] | {"number": i}) for i in range(count)]
        (workplace / f"{name}.jsonl").write_text("\n".join(lines))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(workplace)
        assert cli.main(FINETUNE) == 0
    return workplace


def test_a_run_holds_a_tuned_answerer_and_its_scores(asked):
    folder = asked / "runs/questions"
    metrics = json.loads((folder / "metrics.json").read_text())["validation"]
    assert {"exact", "f1", "answerable_f1", "empty_exact"} <= set(metrics)
    config = json.loads((folder / "config.json").read_text())
    assert any("threshold" in key for key in config)
    assert "pipeline_tag: question-answering" in (folder / "README.md").read_text()
    assert "f1: " in (folder / "report.txt").read_text()


def test_answers_stand_beside_a_users_own_columns(asked, monkeypatch, capsys):
    monkeypatch.chdir(asked)
    run = ["predict", "runs/questions", "--data", "test.jsonl", "--prefix", "my_"]
    assert cli.main(run) == 0
    told = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert len(told) == 6 and told[2]["number"] == 2
    for row in told:
        found = row["context"][row["my_start"] : row["my_end"]]
        assert found == row["my_answer"]
    assert cli.main(["evaluate", "runs/questions", "--data", "test.jsonl"]) == 0


def test_mistakes_are_told(asked, refused, monkeypatch):
    monkeypatch.chdir(asked)
    told = refused("predict", "runs/questions", "--data", "-")
    assert "needs more than a line of text" in told
    told = refused(*FINETUNE[:-1], "x", "--train", "train.csv")
    assert ".json, as SQuAD has it" in told
    told = refused(*FINETUNE[:-1], "x", "--crf", "true")
    assert "crf (token_classifier)" in told
