"""The commands of embedders and few-shot classifiers."""

import json

import numpy as np
import pytest
from tiny_tasks import tiny_pairs, tiny_rows
from workflow_files import write_csv

import kerasft as kft
from kerasft.tasks import embedder_rows
from kerasft.workflows import cli

EMBED = """finetune --task text_embedder --checkpoint tiny --text one --text-pair other
    --epochs 1 --batch-size 8 --learning-rate 1e-3""".split()
SCORED = """--train scored.csv --validation scored-valid.csv --label near
    --label-type number --pooling last --monitor val_spearman
    --out runs/vectors""".split()
FEW = """finetune --task few_shot_classifier --checkpoint tiny --train train.csv
    --validation valid.csv --text review --label stars --pairs-per-row 2 --epochs 1
    --normalise true --out runs/few""".split()


def run(*arguments):
    assert cli.main(list(arguments)) == 0


def read(path):
    return json.loads(path.read_text())


def write_scored(path, count, seed):
    """Half of the pairs belong together; and a text that belongs to neither."""
    rows = tiny_pairs(count, seed)
    random = np.random.default_rng(seed)
    near = random.integers(0, 2, count) * 0.7 + random.random(count) * 0.1
    texts = zip(rows.texts(), rows.text_pairs(), rows.texts()[::-1], strict=True)
    lines = [(*row, round(value, 3)) for row, value in zip(texts, near, strict=True)]
    write_csv(path, [("one", "other", "odd", "near"), *lines])


@pytest.fixture(scope="module")
def near(workplace):
    """The working folder with pairs of texts and a finished run on scored ones."""
    for name, count, seed in (("scored", 32, 0), ("scored-valid", 12, 1)):
        write_scored(workplace / f"{name}.csv", count, seed)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(workplace)
        run(*EMBED, *SCORED)
    return workplace


def test_a_run_holds_an_embedder_its_recipe_and_its_scores(near):
    folder = near / "runs/vectors"
    metrics = read(folder / "metrics.json")["validation"]
    assert set(metrics) == set(embedder_rows.SCORES["scored"])
    history = read(folder / "history.json")
    assert metrics["spearman"] == pytest.approx(max(history["val_spearman"]), abs=1e-5)
    assert "loss: cosine" in (folder / "recipe.yaml").read_text()
    card = (folder / "README.md").read_text()
    assert "library_name: sentence-transformers" in card and ".encode([" in card
    task = kft.TextEmbedder.from_pretrained(folder)
    assert task.head.pooling == "last"
    told = task.score_rows(
        kft.read_csv(
            near / "scored-valid.csv", "one", "near", "other", label_type="number"
        )
    )
    assert metrics == pytest.approx(told, abs=1e-5)


def test_each_text_gets_its_vector(near, monkeypatch, capsys):
    monkeypatch.chdir(near)
    run("evaluate", "runs/vectors", "--data", "scored-valid.csv")
    capsys.readouterr()
    run("predict", "runs/vectors", "--data", "scored-valid.csv")
    told = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    task = kft.TextEmbedder.from_pretrained("runs/vectors")
    expected = task.encode([row["one"] for row in told])
    found = np.array([row["vector"] for row in told])
    np.testing.assert_allclose(found, expected, atol=1e-5)
    assert "other" in told[0]


@pytest.mark.parametrize(
    "rows, metrics",
    [
        ("--text-pair other --label null", "pairs"),
        ("--text-pair other --negative odd --label null --loss triplet", "triples"),
        ("--text-pair null --label null --validation null", None),
    ],
)
def test_the_columns_say_what_kind_of_rows_they_are(near, monkeypatch, rows, metrics):
    monkeypatch.chdir(near)
    out = f"runs/vectors-of-{metrics}"
    run(
        *EMBED,
        *"--train scored.csv --validation 0.25 --out".split(),
        out,
        *rows.split(),
    )
    found = read(near / out / "metrics.json")
    expected = embedder_rows.SCORES[metrics] if metrics else ()
    assert set(found.get("validation", ())) == set(expected)


def test_a_label_is_learnt_from_a_few_texts(near, monkeypatch, capsys):
    monkeypatch.chdir(near)
    run(*FEW)
    folder = near / "runs/few"
    metrics = read(folder / "metrics.json")["validation"]
    assert len(read(folder / "history.json")["loss"]) == 1
    assert (folder / "figures/validation_confusion_matrix.png").exists()
    task = kft.FewShotClassifier.from_pretrained(folder)
    assert task.fresh_weights == () and task.head.pooling.normalise
    valid = tiny_rows(20, 1)
    best = task.predict_rows(valid).argmax(1)
    right = best == valid.label_array(task.labels)
    assert metrics["accuracy"] == pytest.approx(right.mean())
    capsys.readouterr()
    run("predict", "runs/few", "--data", "valid.csv")
    told = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [row["label"] for row in told] == [task.labels[i] for i in best]


@pytest.mark.parametrize(
    "command, changes, words",
    [
        (EMBED, "--label null --loss triplet", ["'triplet'", "not for pairs"]),
        (EMBED, "--label null --text-pair null", ["--validation null"]),
        (EMBED, "--label near", ["label_type='number'"]),
        (EMBED, "--label null --negative odd --text-pair null", ["text_pair"]),
        (EMBED, "--label null --monitor val_accuracy", ["val_mrr"]),
        (EMBED, "--label null --micro-batches 2", ["smaller batch_size"]),
        (EMBED, "--new-head", ["new_head ("]),
        (EMBED, "--strength 2", ["strength (few_shot_classifier)"]),
        (FEW, "--warmup 0.5 --patience 1", ["warmup (all others)", "patience ("]),
        (FEW, "--labels [bad,good,meh,odd]", ["no row of odd"]),
        (FEW, "--text-pair id", ["text_pair ("]),
    ],
)
def test_mistakes_are_told(near, refused, monkeypatch, command, changes, words):
    monkeypatch.chdir(near)
    rows = ["--train", "scored.csv"] if command is EMBED else []
    told = refused(*command, *rows, "--out", "never", *changes.split())
    for word in words:
        assert word in told
    assert not (near / "never").exists()


def test_the_names_of_scores_are_those_that_are_told():
    vectors = np.random.default_rng(0).normal(size=(6, 3, 4)).astype("float32")
    texts = list("abcdef")
    kinds = {
        "pairs": kft.from_lists(texts, text_pairs=texts),
        "triples": kft.from_lists(texts, text_pairs=texts, negatives=texts),
        "scored": kft.from_lists(texts, np.arange(6) / 6, text_pairs=texts),
        "classes": kft.from_lists(texts, list("xyxyxy")),
    }
    for kind, rows in kinds.items():
        given = vectors[:, 0] if kind == "classes" else vectors
        told = embedder_rows.scores_of(rows, given)
        assert tuple(told) == embedder_rows.SCORES[kind]
