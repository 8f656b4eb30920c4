"""Language models by command: from texts to a model that goes on with them."""

import json

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.util.tensor_util import make_ndarray
from tiny_tasks import tiny_documents
from transformers import AutoModelForCausalLM

import kerasft as kft
from kerasft.workflows import cli
from kerasft.workflows.model_presets import PRESETS

SIZES = {
    "model_type": "gpt2",
    "n_embd": 32,
    "n_layer": 1,
    "n_head": 4,
    "n_positions": 40,
}
TOKENIZER = """train-tokenizer --data causal/train.txt --vocab-size 300
    --out causal/tokenizer --max-length 40""".split()
PRETRAIN = """pretrain --objective clm --model-config causal/sizes.json --tokenizer
    causal/tokenizer --train causal/train.txt --validation causal/valid.txt --epochs 2
    --batch-size 4 --learning-rate 1e-2 --sample-tokens 8""".split()


def run(*arguments):
    assert cli.main(list(arguments)) == 0


def read(path):
    return json.loads(path.read_text())


@pytest.fixture(scope="module")
def library(workplace):
    """The working folder with documents, a tokenizer of them, and a run."""
    (workplace / "causal").mkdir()
    for name, count, seed in (("train", 60, 0), ("valid", 12, 1)):
        texts = tiny_documents(count, seed).texts()
        (workplace / f"causal/{name}.txt").write_text("\n\n".join(texts))
    (workplace / "causal/sizes.json").write_text(json.dumps(SIZES))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(workplace)
        run(*TOKENIZER)
        run(*PRETRAIN, "--out", "runs/next")
    return workplace


def test_a_run_holds_a_language_model_and_its_perplexity(library):
    folder = library / "runs/next"
    metrics = read(folder / "metrics.json")["validation"]
    history = read(folder / "history.json")
    best = min(range(2), key=lambda i: history["val_loss"][i])
    assert set(metrics) == {"loss", "perplexity"}
    for name, value in metrics.items():
        assert value == pytest.approx(history[f"val_{name}"][best], rel=1e-4)
    card = (folder / "README.md").read_text()
    assert "pipeline_tag: text-generation" in card and "random weights" in card
    model = AutoModelForCausalLM.from_pretrained(folder)
    task = kft.CausalLM.from_pretrained(folder)
    end = task.tokenizer.backend.token_to_id("<|endoftext|>")
    assert task.end_ids == (end,)
    assert model.config.eos_token_id == end


def test_texts_are_written_while_it_trains(library):
    logs = library / "tb_logs/next"
    samples = EventAccumulator(str(logs / "samples")).Reload()
    texts = samples.Tensors("samples")
    assert [point.step for point in texts] == [1, 2]
    shown = make_ndarray(texts[-1].tensor_proto).item().decode()
    assert shown.count("\n") == 4  # A header, a rule and three beginnings.
    train = EventAccumulator(str(logs / "train")).Reload()
    found = [
        make_ndarray(point.tensor_proto).item()
        for point in train.Tensors("speed/share_of_measured_peak")
    ]
    assert found and all(0 < share < 1 for share in found)


def test_a_checkpoint_is_trained_further_on_its_own_prompts(
    library, monkeypatch, capsys
):
    monkeypatch.chdir(library)
    run(
        *"pretrain --objective clm --checkpoint runs/next --epochs 1".split(),
        *"--train causal/train.txt --validation 0.2 --one-text-per-row".split(),
        *"--monitor val_perplexity --out runs/next-on".split(),
        *["--sample-prompts", "[a very good]"],
    )
    told = capsys.readouterr().out
    assert "Epoch 1 writes: a very good [...]" in told
    assert "tokens a second" in told and "was measured" in told
    before, after = (
        read(library / name / "metrics.json")["validation"]["loss"]
        for name in ("runs/next", "runs/next-on")
    )
    assert after < before + 0.5


def test_rows_filled_up_are_measured_as_they_were_trained(library, monkeypatch):
    monkeypatch.chdir(library)
    run("evaluate", "runs/next", "--data", "causal/valid.txt", "--batch-size", "4")
    again = read(library / "runs/next/evaluation-valid/metrics.json")
    before = read(library / "runs/next/metrics.json")["validation"]
    assert again.pop("rows") == 12
    assert again == pytest.approx(before, rel=1e-4)


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_is_a_model(name, library):
    from kerasft.models import family_of
    from kerasft.models.config import from_json

    content = {"vocab_size": 300, **PRESETS[name]}
    config = from_json(family_of(content), content, name)
    assert config.max_position_embeddings >= 256


@pytest.mark.parametrize(
    "changes, words",
    [
        (["--model-config", "gpt3"], ["gpt3", "no such file", "gpt2-tiny"]),
        (["--mask-share", "0.3"], ["mask_share", "no use"]),
        (["--pack"], ["pack (masked_lm, replaced_token_detection)"]),
        (["--objective", "mlm"], ["sample_tokens (causal_lm)"]),
        (["--sample-prompts", "[' ']"], ["sample_prompts", "blank"]),
        (["--sample-prompts", "[" + "a film " * 60 + "]"], ["40 positions"]),
        (["--monitor", "val_accuracy"], ["val_perplexity"]),
        (["--model-config", "null", "--tokenizer", "null", "--checkpoint", "tiny"],
         ["bert has no head for causal_lm"]),
        (["--max-length", "41"], ["max_length is 41"]),
    ],
)  # fmt: skip
def test_mistakes_of_pretraining_are_told(
    library, refused, monkeypatch, changes, words
):
    monkeypatch.chdir(library)
    told = refused(*PRETRAIN, "--out", "never", *changes)
    for word in words:
        assert word in told
    assert not (library / "never").exists()
