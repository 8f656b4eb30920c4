"""Conversations by command: fine-tuned on, answered, and held on the terminal."""

import io
import json

import keras
import pytest
from tiny_chats import CHATML, save_chat_tokenizer
from workflow_files import films, write_csv

import kerasft as kft
from kerasft.workflows import cli
from kerasft.workflows.finetune import FinetuneSettings
from kerasft.workflows.flags import to_yaml

CONFIG = {
    "model_type": "gpt2",
    "n_embd": 32,
    "n_layer": 1,
    "n_head": 4,
    "n_positions": 128,
    "eos_token_id": 3,  # <|im_end|>
}
TALK = """finetune --task causal_lm --checkpoint talk/base --train talk/train.jsonl
    --validation talk/valid.jsonl --conversations --epochs 1 --batch-size 4
    --learning-rate 1e-2 --report-rows 3 --report-tokens 6
    --sample-tokens 4""".split()
ANIMALS = ("fox", "dog", "chicken", "cat")


def run(*arguments):
    assert cli.main(list(arguments)) == 0


def conversations(count):
    for i in range(count):
        animal = ANIMALS[i % len(ANIMALS)]
        yield [
            {"role": "user", "content": f"Tell me number {i} of the {animal}."},
            {"role": "assistant", "content": f"The {animal} jumps."},
        ]


@pytest.fixture(scope="module")
def talk(workplace):
    """The working folder with a chat model and conversations, and a run on them."""
    place = workplace / "talk"
    (place / "words").mkdir(parents=True)
    save_chat_tokenizer(place / "words", template=CHATML)
    keras.utils.set_random_seed(0)
    kft.CausalLM.from_scratch(CONFIG, place / "words").save_pretrained(place / "base")
    for name, count in (("train", 24), ("valid", 5)):
        rows = [{"messages": messages} for messages in conversations(count)]
        write_jsonl(place / f"{name}.jsonl", rows)
    write_csv(place / "films.csv", films(20, 4))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(workplace)
        run(*TALK, "--out", "runs/talk")
    return workplace


def write_jsonl(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def numbers(folder):
    return json.loads((folder / "metrics.json").read_text())


@pytest.fixture
def typed(monkeypatch):
    """A function that makes lines what is typed."""
    return lambda *lines: monkeypatch.setattr(
        "sys.stdin", io.StringIO("".join(f"{line}\n" for line in lines))
    )


def test_a_run_on_conversations_compares_answers(talk):
    folder = talk / "runs/talk"
    found = numbers(folder)["validation"]
    assert {"loss", "perplexity", "bleu", "chrf", "rouge_l", "distinct_1"} < set(found)
    told = (folder / "report.txt").read_text()
    assert "Answers compared: 3" in told and "reference  The fox jumps." in told
    assert "next tokens of conversations" in (folder / "README.md").read_text()
    task = kft.CausalLM.from_pretrained(folder)
    assert task.chat.template.source == CHATML


def test_other_conversations_are_measured_as_asked(talk, monkeypatch):
    monkeypatch.chdir(talk)
    data = ["--data", "talk/valid.jsonl"]
    run("evaluate", "runs/talk", *data, "--report-rows", "0", "--out", "talk/none")
    found = numbers(talk / "talk/none")
    before = numbers(talk / "runs/talk")["validation"]
    assert set(found) == {"rows", "loss", "perplexity"}
    assert found["loss"] == pytest.approx(before["loss"], rel=1e-4)
    run("evaluate", "runs/talk", *data, "--out", "talk/three")
    assert numbers(talk / "talk/three")["bleu"] == pytest.approx(before["bleu"])


def test_conversations_are_answered_in_a_new_column(talk, monkeypatch, capsys):
    monkeypatch.chdir(talk)
    capsys.readouterr()
    run(
        *"predict runs/talk --data talk/valid.jsonl --max-new-tokens 5".split(),
        *"--temperature 1 --top-k 5 --seed 3 --batch-size 1".split(),
    )
    told = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    task = kft.CausalLM.from_pretrained("runs/talk")
    prompts = [messages[:1] for messages in conversations(5)]
    wanted = task.generate(prompts, max_new_tokens=5, temperature=1.0, top_k=5, seed=3,
                           batch_size=32)  # fmt: skip
    assert [row["generated"] for row in told] == wanted
    assert [row["messages"] for row in told] == list(conversations(5))


def test_texts_of_a_column_are_gone_on_with(talk, monkeypatch, capsys):
    monkeypatch.chdir(talk)
    run(
        *"finetune --task causal_lm --checkpoint talk/base --text review".split(),
        *"--train talk/films.csv --validation 0.2 --epochs 1 --out runs/films".split(),
        *["--sample-prompts", "[]"],
    )
    assert set(numbers(talk / "runs/films")["validation"]) == {"loss", "perplexity"}
    capsys.readouterr()
    run(*"predict runs/films --data talk/films.csv --max-new-tokens 3".split())
    told = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert len(told) == 20 and {"id", "review", "stars", "generated"} == set(told[0])


def test_settings_of_conversations_are_refused_for_texts(talk, monkeypatch, refused):
    monkeypatch.chdir(talk)
    told = refused(
        *"finetune --task causal_lm --checkpoint talk/base --text review".split(),
        *"--train talk/films.csv --out runs/never --loss-on all".split(),
    )
    assert "loss_on: for conversations, but the rows are texts" in told
    assert not (talk / "runs/never").exists()
    data = "--data talk/films.csv --text review".split()
    told = refused("evaluate", "talk/base", *data, "--report-rows", "3")
    assert "report_rows: for conversations" in told


def test_a_prompt_is_gone_on_with_on_the_screen(talk, monkeypatch, capsys):
    monkeypatch.chdir(talk)
    capsys.readouterr()
    run(*"generate runs/talk --max-new-tokens 6 --prompt".split(), "The quick brown")
    task = kft.CausalLM.from_pretrained("runs/talk")
    (wanted,) = task.generate(["The quick brown"], max_new_tokens=6)
    assert capsys.readouterr().out == wanted + "\n"


def test_prompts_of_flags_and_of_a_file_are_written_to_a_file(talk, monkeypatch):
    monkeypatch.chdir(talk)
    (talk / "talk/prompts.txt").write_text("Tell me\n\nWhat is\n")
    run(
        *"generate runs/talk --chat --system Short! --max-new-tokens 4".split(),
        *"--temperature 1 --num-return-sequences 2 --prompt Hello".split(),
        *"--prompts talk/prompts.txt --out talk/written.jsonl".split(),
    )
    lines = (talk / "talk/written.jsonl").read_text().splitlines()
    told = [json.loads(line) for line in lines]
    assert [row["prompt"] for row in told] == ["Hello", "Tell me", "What is"]
    task = kft.CausalLM.from_pretrained("runs/talk")
    prompts = [
        [{"role": "system", "content": "Short!"}, {"role": "user", "content": text}]
        for text in ("Hello", "Tell me", "What is")
    ]
    wanted = task.generate(
        prompts, max_new_tokens=4, temperature=1.0, num_return_sequences=2
    )
    assert [row["generated"] for row in told] == wanted


def test_a_conversation_goes_on_until_it_is_ended(talk, monkeypatch, capsys, typed):
    monkeypatch.chdir(talk)
    typed("Tell me", "", "And now?", "/reset", "Tell me", "/quit", "never")
    capsys.readouterr()
    run(*"chat runs/talk --max-new-tokens 5".split())
    shown = capsys.readouterr()
    task = kft.CausalLM.from_pretrained("runs/talk")
    first = [{"role": "user", "content": "Tell me"}]
    (answer,) = task.generate([first], max_new_tokens=5)
    second = [*first, {"role": "assistant", "content": answer}]
    second += [{"role": "user", "content": "And now?"}]
    (more,) = task.generate([second], max_new_tokens=5)
    assert shown.out == f"{answer}\n{more}\n{answer}\n"
    assert "A new conversation" in shown.err


def test_oldest_turns_are_left_out_and_that_is_said(talk, monkeypatch, capsys, typed):
    monkeypatch.chdir(talk)
    typed(*["Tell me more."] * 6)
    capsys.readouterr()
    run(*"chat runs/talk --max-new-tokens 40".split())
    told = capsys.readouterr().err
    assert "The oldest turns are left out: " in told


def test_a_line_without_room_is_refused_and_the_talk_goes_on(
    talk, monkeypatch, capsys, typed
):
    monkeypatch.chdir(talk)
    typed("Tell me " * 80, "Tell me")
    capsys.readouterr()
    run(*"chat runs/talk --max-new-tokens 4".split())
    shown = capsys.readouterr()
    assert "this turn alone has more" in shown.err
    task = kft.CausalLM.from_pretrained("runs/talk")
    message = {"role": "user", "content": "Tell me"}
    (answer,) = task.generate([[message]], max_new_tokens=4)
    assert shown.out == f"{answer}\n\n"


def test_interruption_ends_a_conversation_quietly(talk, monkeypatch, capsys):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.chdir(talk)
    monkeypatch.setattr("builtins.input", interrupted)
    run(*"chat runs/talk --max-new-tokens 4".split())
    assert "Interrupted" not in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments, words",
    [
        ([*TALK, "--out", "no", "--train", "train.csv"], ["conversations in .jsonl"]),
        ([*TALK, "--out", "no", "--prompt", "question"], ["question and completion"]),
        ([*TALK, "--out", "no", "--label-smoothing", "0.1"], ["label_smoothing"]),
        ([*TALK, "--out", "no", "--checkpoint", "tiny"], ["bert has no head"]),
        ([*TALK, "--out", "no", "--max-length", "4"], ["4 tokens"]),
        (["generate", "runs/talk"], ["give prompt"]),
        (["generate", "runs/talk", "--prompt", " "], ["blank"]),
        (["generate", "runs/talk", "--prompt", "a", "--system", "b"], ["with chat"]),
        (["generate", "runs/talk", "--prompt", "a", "--top-k", "3"], ["temperature"]),
        (["generate", "runs/talk", "--prompt", "a", "--out", "a.txt"], [".jsonl"]),
        (["generate", "runs/talk", "--prompt", "a b " * 90], ["128 positions"]),
        (["generate", "runs/talk", "--prompts", "no.txt"], ["no.txt"]),
        (["generate", "tiny", "--prompt", "a"], ["bert has no head"]),
        (["generate", "nowhere/at all", "--prompt", "a"], ["nowhere/at all"]),
        (["chat", "runs/talk", "--num-beams", "2"], ["num_beams"]),
        (["chat", "runs/talk", "--max-new-tokens", "125"], ["room for 3 tokens"]),
        (["predict", "runs/talk", "--data", "talk/valid.jsonl", "--top-p", "2"],
         ["top_p is 2"]),
    ],
)  # fmt: skip
def test_mistakes_of_talking_are_told(talk, refused, monkeypatch, arguments, words):
    monkeypatch.chdir(talk)
    told = refused(*arguments)
    for word in words:
        assert word in told
    assert not (talk / "no").exists()


def test_a_run_of_another_task_writes_nothing(talk, refused, tmp_path):
    settings = FinetuneSettings(checkpoint="tiny", train="train.csv", out="run")
    (tmp_path / "recipe.yaml").write_text(to_yaml(settings))
    told = refused("generate", str(tmp_path), "--prompt", "a")
    assert "is a run of text_classifier" in told
    more = ["--data", str(talk / "test.csv"), "--temperature", "1"]
    told = refused("predict", str(tmp_path), *more)
    assert "temperature" in told and "text_classifier" in told


def test_inspect_tells_what_a_decoder_has(talk, capsys):
    capsys.readouterr()
    run("inspect", str(talk / "runs/talk"), "--json")
    found = json.loads(capsys.readouterr().out)
    assert found["decoder"] == {
        "writes": "texts",
        "ends_with_ids": 3,
        "chat_template": "yes",
    }
    sizes = found["sizes"]
    assert (sizes["inner_width"], sizes["head_width"]) == (128, 8)
    assert sizes["key_value_heads"] == 4 and "window" not in sizes


def test_inspect_knows_all_families_that_write():
    from kerasft.models import FAMILIES
    from kerasft.workflows.inspect import DECODERS

    heads = {name for name, family in FAMILIES.items() if "causal_lm" in family.heads}
    assert set(DECODERS) == heads


def test_a_checkpoint_without_a_recipe_is_asked_by_what_it_is(
    talk, monkeypatch, capsys
):
    monkeypatch.chdir(talk)
    run(*"evaluate talk/base --data talk/films.csv --text review".split(),
        *"--out talk/bare".split())  # fmt: skip
    assert set(numbers(talk / "talk/bare")) == {"rows", "loss", "perplexity"}


def test_a_recipe_of_generation_says_the_same_as_its_flags(tmp_path):
    recipe = tmp_path / "r.yaml"
    recipe.write_text("checkpoint: a\nprompt: [one, two]\nstop: .\ntop_k: 0\n")
    flags = "generate a --prompt one --prompt two --stop . --top-k 0".split()
    assert (
        cli.parse(["generate", "a", "--config", str(recipe)])[1] == cli.parse(flags)[1]
    )
