"""The commands of relations and of triples: from JSON lines to what is found."""

import json

import pytest
from tiny_tasks import tiny_relations, tiny_triples
from transformers import AutoModel

import kerasft as kft
from kerasft.workflows import cli

RELATIONS = """finetune --task relation_extractor --checkpoint tiny --train
    train.relations.jsonl --validation valid.relations.jsonl --head one --tail other
    --label relation --no-relation meh --mention-pooling mentions --epochs 2
    --batch-size 8 --learning-rate 5e-3 --monitor val_f1 --out runs/relations""".split()
TRIPLES = """finetune --task triple_extractor --checkpoint tiny --train
    train.triples.jsonl --validation valid.triples.jsonl --triples facts
    --triple-keys [s,p,o] --max-length 24 --epochs 2 --batch-size 8
    --learning-rate 5e-3 --out runs/triples""".split()
PARTS = (("train", 48, 0), ("valid", 16, 1), ("test", 9, 2))


def write(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def relation_lines(count, seed):
    rows = tiny_relations(count, seed)
    for i in range(count):
        row = rows[i]
        names = {"head": "one", "tail": "other", "label": "relation"}
        yield {names.get(key, key): value for key, value in row.items()} | {"number": i}


def triple_lines(count, seed):
    rows = tiny_triples(count, seed)
    for i in range(count):
        row = rows[i]
        facts = [
            dict(zip("spo", (t["subject"], t["relation"], t["object"]), strict=True))
            for t in row["triples"]
        ]
        yield {"text": row["text"], "facts": facts}


@pytest.fixture(scope="module")
def place(workplace):
    """The working folder with both kinds of rows and a finished run on each."""
    for name, count, seed in PARTS:
        write(workplace / f"{name}.relations.jsonl", relation_lines(count, seed))
        write(workplace / f"{name}.triples.jsonl", triple_lines(count, seed))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(workplace)
        assert cli.main(RELATIONS) == 0
        assert cli.main(TRIPLES) == 0
    return workplace


def numbers(folder):
    return json.loads((folder / "metrics.json").read_text())


def test_a_run_on_relations_tells_their_f1_and_holds_the_backbone(place):
    folder = place / "runs/relations"
    found = numbers(folder)["validation"]
    history = json.loads((folder / "history.json").read_text())
    assert found["relation_f1"] == pytest.approx(max(history["val_f1"]), abs=1e-6)
    assert {"accuracy", "f1/good", "f1_macro"} < set(found)
    assert '"head": (0, 3)' in (folder / "README.md").read_text()
    AutoModel.from_pretrained(folder)
    task = kft.RelationExtractor.from_pretrained(folder)
    assert (task.no_relation, task.pooling) == ("meh", "mentions")


def test_relations_are_measured_and_told_in_a_users_own_rows(
    place, monkeypatch, capsys
):
    monkeypatch.chdir(place)
    data = ["--data", "test.relations.jsonl"]
    assert cli.main(["evaluate", "runs/relations", *data]) == 0
    found = numbers(place / "runs/relations/evaluation-test.relations")
    capsys.readouterr()
    assert cli.main(["predict", "runs/relations", *data]) == 0
    told = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [row["number"] for row in told] == list(range(9))
    right = [row["label"] == row["relation"] for row in told]
    assert found["accuracy"] == pytest.approx(sum(right) / 9)
    for row in told:
        assert row["scores"][row["label"]] == pytest.approx(row["score"])


def test_a_run_on_triples_tells_precision_and_recall_of_each_relation(place):
    found = numbers(place / "runs/triples")["validation"]
    assert {"f1_micro", "recall/of", "support/dislikes"} < set(found)
    rows = tiny_triples(16, 1)
    counts = rows.label_counts
    assert found["support/of"] <= counts["of"]  # Equal texts count once a row.


def test_triples_are_found_in_lines_of_text(place, monkeypatch, capsys):
    monkeypatch.chdir(place)
    assert cli.main("predict runs/triples --data test.triples.jsonl".split()) == 0
    told = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    texts = [row["text"] for row in told]
    task = kft.TripleExtractor.from_pretrained("runs/triples", max_length=24)
    for row, found in zip(told, task.predict_text(texts), strict=True):
        assert len(row["found"]) == len(found)


@pytest.mark.parametrize(
    "run, changes, words",
    [
        (RELATIONS, ["--train", "train.csv"], ["in .jsonl"]),
        (RELATIONS, ["--label", "null"], ["label is None", "one key"]),
        (RELATIONS, ["--head", "two"], ["'two'"]),
        (RELATIONS, ["--no-relation", "none"], ["none of the labels"]),
        (RELATIONS, ["--triples", "facts"], ["triples (triple_extractor"]),
        (TRIPLES, ["--triples", "null"], ["triples is null"]),
        (TRIPLES, ["--triple-keys", "[s,o]"], ["give three"]),
        (TRIPLES, ["--no-relation", "of"], ["no_relation (relation_extractor"]),
        (TRIPLES, ["--labels", "[by]"], ["of"]),
    ],
)
def test_mistakes_are_told(place, refused, monkeypatch, run, changes, words):
    monkeypatch.chdir(place)
    told = refused(*run[:-1], "x", *changes)
    for word in words:
        assert word in told
