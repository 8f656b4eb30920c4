"""Token ids against `transformers.AutoTokenizer` and the Rust tokenizer itself."""

import json
from pathlib import Path

import numpy as np
import pytest
import sentencepiece
import tokenizers
import transformers
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_tokenizers import save_tokenizer, wordpiece
from tokenizers import pre_tokenizers, processors

from kerasft._errors import CheckpointError
from kerasft.data.tokenizer import Tokenizer
from kerasft.serving.fuzz import adversarial_texts

LIMITS = {"truncation": "longest_first", "max_length": 32}


@pytest.fixture(scope="module")
def real(minilm):
    return Tokenizer.from_pretrained(minilm, 32)


@pytest.fixture(scope="module")
def reference(minilm):
    return transformers.AutoTokenizer.from_pretrained(minilm)


@pytest.fixture
def tiny(tmp_path):
    return Tokenizer.from_pretrained(save_tokenizer(tmp_path), 12)


def split(encoded):
    """A list of ids for each text."""
    return [part.tolist() for part in np.split(encoded.ids, encoded.lengths.cumsum())][
        :-1
    ]


def types(encoded):
    """A list of type ids for each text."""
    return [
        (np.arange(length) >= start).astype(int).tolist()
        for length, start in zip(encoded.lengths, encoded.second_starts, strict=True)
    ]


def test_ids_of_real_texts_equal_the_reference(real, reference, vader_texts):
    texts = vader_texts[::20]
    assert split(real.encode(texts)) == reference(texts, **LIMITS)["input_ids"]


def test_ids_and_types_of_pairs_equal_the_reference(real, reference, vader_texts):
    texts, pairs = vader_texts[:500], vader_texts[500:1000]
    expected = reference(texts, pairs, **LIMITS)
    encoded = real.encode(texts, pairs)
    assert split(encoded) == expected["input_ids"]
    assert types(encoded) == expected["token_type_ids"]


def test_strange_texts_equal_the_reference_with_special_tokens_as_text(minilm, real):
    backend = tokenizers.Tokenizer.from_file(str(minilm / "tokenizer.json"))
    backend.encode_special_tokens = True
    backend.no_padding()
    backend.enable_truncation(32)
    texts = list(adversarial_texts(500, 1, sorted(backend.get_vocab())))
    expected = [backend.encode(text).ids for text in texts]
    assert split(real.encode(texts)) == expected


def test_special_tokens_in_a_text_are_text(real):
    (ids,) = split(real.encode(["good [SEP] bad [PAD]"]))
    assert ids.count(102) == 1 and ids[-1] == 102
    assert 0 not in ids


@pytest.mark.parametrize(
    "first, second, kept", [(20, 2, (7, 2)), (2, 20, (2, 7)), (20, 20, (4, 5))]
)
def test_of_a_pair_the_longer_text_gives_first(tiny, first, second, kept):
    (ids,) = split(tiny.encode(["good " * first], ["bad " * second]))
    good, bad = (tiny.backend.token_to_id(word) for word in ("good", "bad"))
    assert (ids.count(good), ids.count(bad)) == kept


TEXTS = st.text("aB [SEP]film#é,", max_size=30)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(TEXTS, TEXTS), min_size=1))
def test_many_texts_at_once_equal_each_alone(pairs):
    own = Tokenizer(wordpiece(), 12, 0, {})
    together = own.encode(*zip(*pairs, strict=True))
    alone = [own.encode([first], [second]) for first, second in pairs]
    assert split(together) == [one.ids.tolist() for one in alone]
    assert types(together) == [types(one)[0] for one in alone]
    assert together.truncated == sum(one.truncated for one in alone)


def test_texts_cut_short_are_counted(tiny):
    exactly, longer = "good " * 10, "good " * 11
    encoded = tiny.encode([exactly, longer, "good"])
    assert encoded.lengths.tolist() == [12, 12, 3]
    assert encoded.truncated == 1


def test_an_older_folder_gives_the_ids_of_the_reference(tmp_path):
    (tmp_path / "new").mkdir()
    (tmp_path / "old").mkdir()
    save_tokenizer(tmp_path / "new", lowercase=False)
    vocabulary = wordpiece(lowercase=False).get_vocab()
    lines = sorted(vocabulary, key=vocabulary.get)
    (tmp_path / "old/vocab.txt").write_text("".join(f"{line}\n" for line in lines))
    config = (tmp_path / "new/tokenizer_config.json").read_text()
    (tmp_path / "old/tokenizer_config.json").write_text(config)
    new, old = (
        Tokenizer.from_pretrained(tmp_path / name, 40) for name in ("new", "old")
    )
    texts = ["A good film [SEP] Newsly", "a Bad plot!", ""]
    reference = transformers.AutoTokenizer.from_pretrained(tmp_path / "old")
    assert split(old.encode(texts)) == split(new.encode(texts))
    assert split(old.encode(texts[1:])) == reference(texts[1:])["input_ids"]
    assert set(old.files) == {"vocab.txt", "tokenizer_config.json", "tokenizer.json"}


def test_an_older_folder_of_byte_pairs_gives_the_ids_of_the_reference(tmp_path):
    letters = {c: i for i, c in enumerate(sorted(pre_tokenizers.ByteLevel.alphabet()))}
    vocabulary = {"<s>": 256, "<pad>": 257, "</s>": 258, "<unk>": 259, "<mask>": 260}
    vocabulary |= letters | {"go": 261, "od": 262, "good": 263, "Ġgood": 264}
    merges = "#version: 0.2\ng o\no d\ngo od\nĠ good\n"
    (tmp_path / "vocab.json").write_text(json.dumps(vocabulary))
    (tmp_path / "merges.txt").write_text(merges)
    about = {"tokenizer_class": "RobertaTokenizer", "model_max_length": 512}
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(about))
    reference = transformers.AutoTokenizer.from_pretrained(tmp_path)
    own = Tokenizer.from_pretrained(tmp_path, 40)
    texts = ["good good", " a good gooood day\n", "ünï"]
    assert split(own.encode(texts)) == reference(texts)["input_ids"]
    assert 264 in own.encode(texts).ids


def test_a_folder_without_a_tokenizer_is_refused(tmp_path):
    (tmp_path / "config.json").write_text('{"model_type": "bert"}')
    with pytest.raises(CheckpointError, match=r"holds no tokenizer\.json"):
        Tokenizer.from_pretrained(tmp_path, 12)


@pytest.mark.parametrize("content", ["", "{", "{}", '{"model": 3}', "[1, 2]"])
def test_a_broken_tokenizer_is_refused_by_name(tmp_path, content):
    (tmp_path / "tokenizer.json").write_text(content)
    with pytest.raises(CheckpointError, match=r"tokenizer\.json: cannot be read"):
        Tokenizer.from_pretrained(tmp_path, 12)


def test_the_files_are_written_back_byte_for_byte(minilm, real, tmp_path):
    real.save(tmp_path)
    names = sorted(path.name for path in tmp_path.iterdir())
    assert "tokenizer.json" in names and "vocab.txt" in names
    for name in names:
        assert (tmp_path / name).read_bytes() == (minilm / name).read_bytes()


def test_a_shortened_tokenizer_cuts_earlier_and_leaves_the_other_alone(tiny):
    short = tiny.shortened(6)
    text = "a good film is not a bad film"
    assert short.encode([text]).lengths == 6
    assert tiny.encode([text]).lengths == 10
    assert short.fingerprint != tiny.fingerprint
    assert tiny.shortened(None) is tiny and tiny.shortened(12) is tiny


@pytest.mark.parametrize("length", [0, 4, 13, -1])
def test_a_length_that_the_model_does_not_have_is_refused(tiny, length):
    with pytest.raises(CheckpointError, match="5 to 12 tokens"):
        tiny.shortened(length)


@pytest.mark.parametrize("limit, expected", [(8, 8), (512, 12), (int(1e30), 12)])
def test_the_limit_of_the_files_is_kept(tmp_path, limit, expected):
    save_tokenizer(tmp_path)
    path = tmp_path / "tokenizer_config.json"
    path.write_text(json.dumps({"model_max_length": limit}))
    assert Tokenizer.from_pretrained(tmp_path, 12).max_length == expected


PROCESSORS = {
    "none": None,
    "template": wordpiece().post_processor,
    "bert": processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2)),
    "roberta": processors.RobertaProcessing(("[SEP]", 3), ("[CLS]", 2)),
}


@pytest.mark.parametrize("name", PROCESSORS)
def test_types_equal_those_of_the_slow_path(tmp_path, name):
    # The fast path gives other types than the slow one without a post-processor.
    content = json.loads(wordpiece().to_str())
    if PROCESSORS[name] is None:
        content["post_processor"] = None
    backend = tokenizers.Tokenizer.from_str(json.dumps(content))
    if PROCESSORS[name] is not None:
        backend.post_processor = PROCESSORS[name]
    backend.save(str(tmp_path / "tokenizer.json"))
    own = Tokenizer.from_pretrained(tmp_path, 12)
    pairs = [("a good film", "bad"), ("", "plot"), ("a " * 9, "the " * 9)]
    backend.enable_truncation(12)
    expected = backend.encode_batch(pairs)
    encoded = own.encode(*zip(*pairs, strict=True))
    assert split(encoded) == [one.ids for one in expected]
    assert types(encoded) == [one.type_ids for one in expected]


def test_the_fingerprint_follows_whatever_changes_ids(tmp_path):
    folders = [tmp_path / name for name in "abc"]
    for folder, words in zip(folders, (["film"], ["film"], ["plot"]), strict=True):
        folder.mkdir()
        save_tokenizer(folder, words=words)
    one, same, other = (Tokenizer.from_pretrained(f, 12).fingerprint for f in folders)
    assert one == same != other


@pytest.mark.parametrize(
    ("model_type", "file"),
    [
        ("deberta-v2", "spm.model"),
        ("albert", "spiece.model"),
        ("xlm-roberta", "sentencepiece.bpe.model"),
    ],
)
def test_a_folder_with_a_sentencepiece_model_alone_is_read(model_type, file, tmp_path):
    text = Path(__file__).with_name("test_tokenizer.py")
    sentencepiece.SentencePieceTrainer.train(
        input=str(text),
        model_prefix=str(tmp_path / "trained"),
        vocab_size=150,
        hard_vocab_limit=False,
        control_symbols=["[CLS]", "[SEP]", "[MASK]"] if model_type == "albert" else [],
        pad_id=3,
        minloglevel=2,
    )
    (tmp_path / "trained.model").rename(tmp_path / file)
    (tmp_path / "config.json").write_text(json.dumps({"model_type": model_type}))
    texts = ["A folder with a model.", "a [SEP] b é ﬁ", ""]
    ours = Tokenizer.from_pretrained(tmp_path, 64).encode(texts)
    reference = transformers.AutoTokenizer.from_pretrained(tmp_path)
    expected = reference(texts, split_special_tokens=True)["input_ids"]
    assert ours.lengths.tolist() == [len(ids) for ids in expected]
    assert ours.ids.tolist() == [i for ids in expected for i in ids]
    (tmp_path / "saved").mkdir()
    Tokenizer.from_pretrained(tmp_path, 64).save(tmp_path / "saved")
    assert (tmp_path / "saved" / file).read_bytes() == (tmp_path / file).read_bytes()
