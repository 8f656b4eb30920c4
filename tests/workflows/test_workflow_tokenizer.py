"""Training a tokenizer: it loads elsewhere with the same ids, and spells its texts."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import AutoTokenizer

import kerasft as kft
from kerasft.data.tokenizer import Tokenizer
from kerasft.workflows import cli
from kerasft.workflows.train_tokenizer import TrainTokenizerSettings

WORDS = "the quick brown fox jumps over the lazy dog and café 2024 isn't Ünï".split()
TEXTS = [" ".join(WORDS[i:] + WORDS[:i]) + "." for i in range(len(WORDS))] * 4
KINDS = {"gpt2": 300, "llama3": 320, "wordpiece": 90, "unigram": 70}
TRICKY = ["", "the  fox\n\n jumps ", "☃ 12345", "<|endoftext|> [SEP] </s>", "QUICK"]


def write(folder, name):
    path = folder / name
    if name.endswith(".txt"):
        path.write_text("\n\n".join(TEXTS), encoding="utf-8")
    elif name.endswith(".csv"):
        path.write_text("\n".join(["text", *TEXTS]), encoding="utf-8")
    else:
        lines = (json.dumps({"text": text}) for text in TEXTS)
        path.write_text("\n".join(lines))
    return str(path)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """kind -> folder of a tokenizer trained from the command line."""
    place = tmp_path_factory.mktemp("trained")
    data = write(place, "texts.txt")
    for kind, size in KINDS.items():
        flags = ["--data", data, "--out", str(place / kind), "--kind", kind]
        assert cli.main(["train-tokenizer", *flags, "--vocab-size", str(size)]) == 0
    return place


@pytest.mark.parametrize("kind", KINDS)
def test_it_loads_in_transformers_with_the_same_ids(trained, kind):
    ours = Tokenizer.from_pretrained(trained / kind, 1024)
    reference = AutoTokenizer.from_pretrained(trained / kind)
    assert len(reference) == ours.vocab_size <= KINDS[kind]
    assert reference.model_max_length == 1024
    for text in TEXTS[:4] + TRICKY:
        ids = reference(text, split_special_tokens=True)["input_ids"]
        assert ours.encode([text]).ids.tolist() == ids
    first, second = "the fox", "a dog"
    pair = reference(first, second)
    assert ours.encode([first], [second]).ids.tolist() == pair["input_ids"]
    ids = [reference.convert_tokens_to_ids(t) for t in reference.all_special_tokens]
    assert not ours.ordinary[ids].any()


@settings(deadline=None)
@given(st.text())
@pytest.mark.parametrize("kind", ["gpt2", "llama3"])
def test_a_byte_level_tokenizer_spells_any_text(trained, kind, text):
    ours = Tokenizer.from_pretrained(trained / kind, 10_000)
    ids = ours.encode([text]).ids.tolist()
    first = [ours.backend.token_to_id("<|begin_of_text|>")] if kind == "llama3" else []
    assert ids[: len(first)] == first
    assert ours.text_of(*ids[len(first) :]) == text


@pytest.mark.parametrize("kind", ["wordpiece", "unigram"])
def test_the_others_spell_what_they_were_trained_on(trained, kind):
    reference = AutoTokenizer.from_pretrained(trained / kind)
    for text in TEXTS:
        ids = reference(text)["input_ids"]
        assert reference.unk_token_id not in ids
        back = reference.decode(ids, skip_special_tokens=True)
        if kind == "unigram":
            assert back == text
        else:
            assert back.replace(" ", "") == text.replace(" ", "")


def test_a_cut_is_llama_3s(trained):
    ours = Tokenizer.from_pretrained(trained / "llama3", 1024)
    cut = ours.backend.pre_tokenizer.pre_tokenize_str("I'm 12345 o'clock!!\n\n  ok")
    words = [word.replace("Ġ", " ").replace("Ċ", "\n") for word, _ in cut]
    assert words == ["I", "'m", " ", "123", "45", " o", "'clock", "!!\n\n", " ", " ok"]


def test_case_is_folded_if_asked(tmp_path):
    data = write(tmp_path, "texts.jsonl")
    for lowercase in (False, True):
        chosen = TrainTokenizerSettings(
            data=data,
            out=str(tmp_path / str(lowercase)),
            kind="wordpiece",
            vocab_size=99,
            lowercase=lowercase,
        )
        folder = kft.train_tokenizer(chosen)
        ours = Tokenizer.from_pretrained(folder, 99)
        same = (
            ours.encode(["ÜNÏ café"]).ids.tolist()
            == ours.encode(["uni cafe"]).ids.tolist()
        )
        assert same == lowercase


@pytest.mark.parametrize("name", ["texts.csv", "texts.jsonl"])
def test_columns_give_the_same_as_plain_texts(trained, tmp_path, name):
    flags = ["--data", write(tmp_path, name), "--out", str(tmp_path / "new")]
    assert cli.main(["train-tokenizer", *flags, "--vocab-size", "300"]) == 0
    for file in ("tokenizer.json", "tokenizer_config.json"):
        expected = (trained / "gpt2" / file).read_bytes()
        assert (tmp_path / "new" / file).read_bytes() == expected


def test_further_special_tokens_are_tokens_everywhere(tmp_path):
    data, out = write(tmp_path, "texts.txt"), str(tmp_path / "new")
    flags = ["--special-tokens", "[<|im_start|>, <|im_end|>]", "--vocab-size", "300"]
    assert cli.main(["train-tokenizer", "--data", data, "--out", out, *flags]) == 0
    reference = AutoTokenizer.from_pretrained(out)
    found = reference.tokenize("<|im_start|>the<|im_end|>")
    assert found[0] == "<|im_start|>" and found[-1] == "<|im_end|>"
    assert {"<|im_start|>", "<|im_end|>"} <= set(reference.all_special_tokens)


@pytest.mark.parametrize(
    "changes, words",
    [
        (["--vocab-size", "256"], ["vocab_size is 256", "at least 257"]),
        (["--kind", "unigram", "--vocab-size", "9"], ["all chars", "Allow more"]),
        (["--kind", "wordpiece", "--vocab-size", "20"], ["entries at least", "20"]),
        (["--kind", "bpe"], ["gpt2"]),
        (["--lowercase"], ["lowercase goes with wordpiece, not with gpt2"]),
        (["--special-tokens", "[a,a]"], ["stands there twice"]),
        (["--data", "missing.txt"], ["missing.txt"]),
        (["--data", "texts.pdf"], ["texts.pdf", ".parquet"]),
        (["--data", "[texts.txt,texts.csv]"], ["one kind"]),
        (["--data", "texts.csv", "--text", "review"], ["'review'", "text"]),
        (["--out", "texts.txt"], ["is a file"]),
        (["--out", "taken"], ["holds config.json"]),
    ],
)
def test_a_mistake_is_one_message_and_leaves_nothing(
    tmp_path, monkeypatch, capsys, changes, words
):
    monkeypatch.chdir(tmp_path)
    for name in ("texts.txt", "texts.csv"):
        write(tmp_path, name)
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "config.json").touch()
    before = sorted(tmp_path.rglob("*"))
    flags = ["--data", "texts.txt", "--out", "new", "--vocab-size", "300", *changes]
    assert cli.main(["train-tokenizer", *flags]) == 2
    told = capsys.readouterr().err
    assert told.count("kerasft: error: ") == 1 and "Traceback" not in told
    assert all(word in told for word in words), told
    assert sorted(tmp_path.rglob("*")) == before
