"""Pretraining by command: from texts to a checkpoint that can be fine-tuned."""

import json

import pytest
from tiny_tasks import save_tiny_bert, tiny_documents, tiny_masked
from transformers import AutoModelForMaskedLM
from workflow_files import write_csv

import kerasft as kft
from kerasft.workflows import cli

TRAIN = "--train train.txt --epochs 1 --batch-size 16 --learning-rate 5e-3".split()
MASKED = """pretrain --checkpoint tiny --validation valid.txt --whole-words
    --mask-share 0.3 --max-length 24 --out runs/words""".split()
SIZES = {
    "model_type": "bert",
    "hidden_size": 32,
    "num_hidden_layers": 1,
    "num_attention_heads": 4,
    "intermediate_size": 64,
    "max_position_embeddings": 40,
}


def run(*arguments):
    assert cli.main(list(arguments)) == 0


def read(path):
    return json.loads(path.read_text())


@pytest.fixture(scope="module")
def library(workplace):
    """The working folder with documents, and a run on their hidden tokens."""
    for name, count, seed in (("train", 60, 0), ("valid", 12, 1), ("test", 12, 2)):
        texts = tiny_documents(count, seed).texts()
        (workplace / f"{name}.txt").write_text("\n\n".join(texts))
    (workplace / "sizes.json").write_text(json.dumps(SIZES))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(workplace)
        run(*MASKED, *TRAIN)
    return workplace


def test_a_run_holds_a_masked_model_and_what_it_guesses(library):
    folder = library / "runs/words"
    metrics = read(folder / "metrics.json")["validation"]
    history = read(folder / "history.json")
    assert set(metrics) == {"loss", "accuracy", "perplexity"}
    for name, value in metrics.items():
        assert value == pytest.approx(history[f"val_{name}"][0], rel=1e-5)
    card = (folder / "README.md").read_text()
    assert "pipeline_tag: fill-mask" in card and "`tiny` pretrained further" in card
    assert (folder / "figures/learning_curves.png").exists()
    AutoModelForMaskedLM.from_pretrained(folder)
    assert list((library / "tb_logs/words/validation").glob("events*"))


def test_a_run_goes_on_as_it_was_trained(library, monkeypatch):
    monkeypatch.chdir(library)
    run("evaluate", "runs/words", "--data", "valid.txt", "--batch-size", "16")
    again = read(library / "runs/words/evaluation-valid/metrics.json")
    before = read(library / "runs/words/metrics.json")["validation"]
    assert again.pop("rows") == 12
    assert again == pytest.approx(before, rel=1e-4)  # The same tokens are hidden.
    run(
        *"finetune --checkpoint runs/words --train train.csv --text review".split(),
        *"--label stars --epochs 1 --out runs/after-words".split(),
    )


def test_masks_of_a_users_own_rows_are_filled(library, monkeypatch, capsys, refused):
    monkeypatch.chdir(library)
    texts = tiny_masked(5).texts()
    rows = [("id", "review"), *enumerate(texts)]
    write_csv(library / "gaps.csv", rows)
    run(*"predict runs/words --data gaps.csv --text review --out gaps.jsonl".split())
    lines = (library / "gaps.jsonl").read_text().splitlines()
    task = kft.MaskedLM.from_pretrained("runs/words", max_length=24)
    for i, (line, wanted) in enumerate(
        zip(lines, task.predict_text(texts), strict=True)
    ):
        told = json.loads(line)
        assert told["id"] == str(i)
        ((best, *_),) = told["masks"]
        assert best["token"] == wanted[0][0]["token"]
        assert best["text"] == wanted[0][0]["text"]
    write_csv(library / "full.csv", [("review",), ("a [MASK] film",), ("a film",)])
    told = refused(*"predict runs/words --data full.csv --text review".split())
    assert "1 texts have no mask: full.csv:3" in told


def test_pairs_are_learnt_from_random_weights(library, monkeypatch, capsys):
    monkeypatch.chdir(library)
    run(
        *"pretrain --objective mlm+nsp --model-config sizes.json".split(),
        "--tokenizer",
        "tiny",
        *"--validation 0.2 --monitor val_masked_perplexity --out runs/pairs".split(),
        *TRAIN,
    )
    folder = library / "runs/pairs"
    metrics = read(folder / "metrics.json")["validation"]
    assert set(metrics) == {
        *("loss", "masked_accuracy", "masked_perplexity", "pair_accuracy"),
    }
    assert "from random weights" in (folder / "README.md").read_text()
    task = kft.Pretraining.from_pretrained(folder)
    vocabulary = task.tokenizer.vocab_size  # What the sizes do not tell.
    assert read(folder / "config.json")["vocab_size"] == vocabulary
    write_csv(library / "two.csv", [("text", "more"), ("a film", "good"), ("a", "b")])
    capsys.readouterr()
    run(*"predict runs/pairs --data two.csv --text-pair more".split())
    told = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert {row["label"] for row in told} <= {"next", "other"}


def test_replaced_tokens_are_learnt_with_a_generator(library, monkeypatch, capsys):
    monkeypatch.chdir(library)
    (library / "electra").mkdir()
    save_tiny_bert(library / "electra", "electra", num_layers=1)
    run(
        *"pretrain --objective rtd --checkpoint electra --generator-share 0.5".split(),
        *"--pack --validation valid.txt --out runs/replaced --epochs 1".split(),
        *TRAIN[:2],
    )
    folder = library / "runs/replaced"
    assert read(folder / "generator/config.json")["num_attention_heads"] == 2
    assert "replaced_f1" in read(folder / "metrics.json")["validation"]
    run(*"evaluate runs/replaced --data test.txt".split())
    capsys.readouterr()
    run(*"predict runs/replaced --data test.txt --documents lines".split())
    told = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert len(told) == 12
    assert all(0 <= token["score"] <= 1 for token in told[0]["tokens"])


@pytest.mark.parametrize(
    "changes, words",
    [
        ("--objective mlm+sop", ["'mlm+sop'", "bert", "'mlm+nsp'"]),
        ("--objective mlm+nsp --pack", ["pack (masked_lm, replaced_token_detection)"]),
        ("--generator-share 0.5", ["generator_share (replaced_token_detection)"]),
        ("--checkpoint null", ["give `checkpoint`"]),
        ("--model-config sizes.json", ["give `checkpoint`", "go together"]),
        ("--mask-share 1", ["mask_share is 1.0"]),
        ("--mask-random-keep [0.5,0.1,0.1]", ["add up to 1"]),
        ("--train train.pdf", [".csv"]),
        ("--objective rtd", ["bert has no head"]),
        ("--checkpoint null --tokenizer tiny --model-config no.json", ["no.json"]),
        ("--monitor val_f1", ["val_perplexity"]),
        ("--class-weight balanced", ["--class-weight"]),
    ],
)
def test_mistakes_are_told(library, refused, monkeypatch, changes, words):
    monkeypatch.chdir(library)
    told = refused(*MASKED, *TRAIN, "--out", "never", *changes.split())
    for word in words:
        assert word in told
    assert not (library / "never").exists()
