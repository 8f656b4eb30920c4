"""The commands with an adapter: trained, told, used, exported, merged."""

import json

import pytest
from workflow_files import FINETUNE

import kerasft as kft
from kerasft.workflows import cli

LORA = "--peft lora --peft.rank 2 --peft.targets [query,value]".split()


@pytest.fixture(scope="module")
def adapted(workplace):
    """A finished run with LoRA, with the learning rate that suits it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(workplace)
        assert cli.main([*FINETUNE[:-2], *LORA, "--out", "runs/lora"]) == 0
    return workplace / "runs" / "lora"


def test_the_run_folder_holds_an_adapter_and_says_what_it_is(adapted):
    names = {path.name for path in adapted.iterdir()}
    assert {"adapter_config.json", "adapter_model.safetensors", "recipe.yaml"} <= names
    assert "model.safetensors" not in names
    config = json.loads((adapted / "adapter_config.json").read_text())
    assert config["r"] == 2 and config["base_model_name_or_path"] == "tiny"
    card = (adapted / "README.md").read_text()
    assert "library_name: peft" in card
    assert "LoRA(rank=2, targets=('query', 'value')): trained " in card
    assert "without the head" in card


def test_the_recipe_brings_the_method_back_and_flags_change_it(adapted, here):
    recipe = (adapted / "recipe.yaml").read_text()
    assert "method: lora" in recipe and "rank: 2" in recipe
    _, settings = cli.parse(
        f"finetune --config {adapted}/recipe.yaml --out x --peft.rank 4".split()
    )
    assert settings.method.rank == 4
    assert settings.method.targets == ("query", "value")
    _, settings = cli.parse(
        f"finetune --config {adapted}/recipe.yaml --out x --peft null".split()
    )
    assert settings.method is None


def test_a_learning_rate_that_is_not_given_is_what_suits_the_method(workplace):
    task = kft.TextClassifier.from_pretrained(workplace / "tiny", labels=("a", "b"))
    assert task.usual_learning_rate == 5e-5
    for method, rate in ((kft.IA3(), 5e-3), (kft.LoRA(), 4e-3)):  # 32 wide: the most.
        task.add_adapter(method, method.kind)
        assert task.usual_learning_rate == rate
        task.compile()
        assert task.optimizer.schedule.peak == rate
    assert kft.LoRA().rate_for(768) == 1e-3 and kft.LoRA().rate_for(1024) == 7.5e-4


def test_the_recipe_holds_the_learning_rate_that_was_taken(adapted):
    assert "learning_rate: 0.004" in (adapted / "recipe.yaml").read_text()


def test_its_run_is_evaluated_and_predicted_with(adapted, here, capsys):
    assert cli.main(["evaluate", str(adapted), "--data", "test.csv"]) == 0
    command = ["predict", str(adapted), "--data", "test.csv", "--out", "lora.jsonl"]
    assert cli.main(command) == 0
    rows = [json.loads(line) for line in (here / "lora.jsonl").read_text().splitlines()]
    assert len(rows) == 21 and {"label", "score"} <= rows[0].keys()


def test_inspect_tells_method_base_and_labels(adapted, here, capsys):
    capsys.readouterr()
    assert cli.main(["inspect", str(adapted), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["kind"] == "run" and told["method"] == "lora"
    assert told["base"] == "tiny" and told["task"] == "text_classifier"
    assert told["labels"] == ["bad", "good", "meh"]
    assert told["settings"]["r"] == 2


def test_merged_it_is_a_checkpoint_that_predicts_the_same(adapted, here):
    assert cli.main(["merge", str(adapted), "--out", "merged"]) == 0
    assert (here / "merged" / "model.safetensors").exists()
    scores = {}
    for name in (str(adapted), "merged"):
        flags = "--data test.csv --text review --max-length 38 --out p.jsonl".split()
        (here / "p.jsonl").unlink(missing_ok=True)
        assert cli.main(["predict", name, *flags]) == 0
        lines = (here / "p.jsonl").read_text().splitlines()
        scores[name] = [json.loads(line)["score"] for line in lines]
    assert scores["merged"] == pytest.approx(scores[str(adapted)], abs=1e-5)


def test_merging_replaces_no_checkpoint(adapted, here, refused):
    before = {p: p.read_bytes() for p in adapted.rglob("*") if p.is_file()}
    told = " ".join(refused("merge", str(adapted), "--out", str(adapted)).split())
    assert "which holds adapter_config.json" in told and "choose a new folder" in told
    assert "config.json" in refused("merge", str(adapted), "--out", "tiny")
    assert {p: p.read_bytes() for p in adapted.rglob("*") if p.is_file()} == before


def test_mistakes_are_told_before_anything_is_written(adapted, here, refused):
    run = [*FINETUNE, "--out", "runs/never"]
    told = {
        ("--peft", "loar"): "No PEFT method named 'loar'. Did you mean 'lora'?",
        ("--peft", "lora", "--peft.rnk", "2"): "rnk is no setting of lora",
        ("--peft", "lora", "--peft.rank", "two"): "rank is 'two'; it should be a whole",
        ("--peft", "lora", "--peft.rank", "0"): "rank is 0; at least 1",
        ("--peft.rank", "2"): "peft has no method",
        ("--peft", "lora", "--peft.targets", "[foo]"): "foo fits no layer",
        ("--quantize", "int8"): "quantize needs an adapter",
        ("--peft", "dora", "--quantize", "int8"): "quantize does not go with dora",
    }
    for flags, words in told.items():
        assert words in " ".join(refused(*run, *flags).split())
    assert not (here / "runs" / "never").exists()


def test_merging_what_has_no_adapter_is_refused(run_folder, here, refused):
    assert "holds no adapter" in refused("merge", str(run_folder), "--out", "plain")
    assert not (here / "plain").exists()
