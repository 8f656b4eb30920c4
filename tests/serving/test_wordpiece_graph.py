import numpy as np
import pytest
import tensorflow as tf
import tokenizers
from tokenizers import AddedToken, models, normalizers, pre_tokenizers, processors

from kerasft._errors import SettingsError
from kerasft.serving.fuzz import adversarial_texts
from kerasft.serving.reference import UnsupportedTokenizerError
from kerasft.serving.verify import differing_rows, reference_at, verify_tokenizer
from kerasft.serving.wordpiece import WordPieceGraph

SETTINGS = {
    "uncased": {"lowercase": True},
    "cased": {"lowercase": False},
    "uncased, accents kept": {"lowercase": True, "strip_accents": False},
    "cased, accents stripped": {"lowercase": False, "strip_accents": True},
    "uncased, accents stripped": {"lowercase": True, "strip_accents": True},
    "cased, accents kept": {"lowercase": False, "strip_accents": False},
    "nothing cleaned": {
        "lowercase": False,
        "clean_text": False,
        "handle_chinese_chars": False,
    },
    "only stripped": {
        "lowercase": False,
        "clean_text": False,
        "handle_chinese_chars": False,
        "strip_accents": True,
    },
    "other prefix": {"prefix": "@@", "unknown": "<unk>", "longest_word": 20},
    "prefix is a letter": {"prefix": "x"},
}


def tokenizer_json(folder):
    return (folder / "tokenizer.json").read_text("utf-8")


@pytest.fixture(scope="module")
def minilm_graph(minilm):
    return WordPieceGraph(tokenizer_json(minilm), max_length=64)


@pytest.fixture(scope="module")
def minilm_reference(minilm_graph):
    return reference_at(minilm_graph.reference.tokenizer, minilm_graph.max_length)


def differences(graph, texts, pairs=()):
    reference = reference_at(graph.reference.tokenizer, graph.max_length)
    rows = [(text,) for text in texts] + list(zip(texts, pairs, strict=False))
    return differing_rows(graph, reference, rows)


def fuzzed(graph, count, seed):
    pieces = sorted(graph.reference.vocabulary)
    return list(adversarial_texts(count, seed, pieces))


def test_fuzzed_texts_and_pairs_get_the_ids_of_a_real_tokenizer(
    minilm_graph, minilm_reference
):
    rows = verify_tokenizer(minilm_graph, minilm_reference, [], [], fuzz=4000)
    assert rows == 8000


@pytest.mark.parametrize("name", ["uncased", "cased", "nothing cleaned"])
def test_fuzzed_texts_get_the_ids_of_a_strange_vocabulary(name, strange_graph):
    graph = strange_graph(**SETTINGS[name])
    texts = fuzzed(graph, 4000, seed=1)
    assert differences(graph, texts, pairs=texts[::-1][:500]) == []


@pytest.mark.slow
@pytest.mark.parametrize("name", SETTINGS)
def test_a_hundred_thousand_fuzzed_texts_get_the_same_ids(name, strange_graph):
    graph = strange_graph(**SETTINGS[name])
    texts = fuzzed(graph, 100_000, seed=2)
    assert differences(graph, texts, pairs=texts[:10_000][::-1]) == []


@pytest.mark.slow
def test_a_hundred_thousand_fuzzed_texts_get_the_ids_of_a_real_tokenizer(
    minilm_graph, minilm_reference
):
    verify_tokenizer(minilm_graph, minilm_reference, [], [], fuzz=100_000, seed=7)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["uncased", "cased", "nothing cleaned"])
def test_every_code_point_gets_the_same_ids_alone_and_in_a_word(name, strange_graph):
    points = [*range(0xD800), *range(0xE000, 0x110000)]
    texts = [form.format(chr(point)) for form in ("{}", "a{}b") for point in points]
    assert differences(strange_graph(**SETTINGS[name]), texts) == []


def test_real_texts_get_the_same_ids(
    minilm_graph, minilm_reference, bbc_texts, vader_texts
):
    texts = [*bbc_texts[::20], *vader_texts[::5]]
    verify_tokenizer(minilm_graph, minilm_reference, texts, texts[::-1], fuzz=0)


@pytest.mark.slow
def test_all_real_texts_get_the_same_ids(
    minilm_graph, minilm_reference, bbc_texts, vader_texts
):
    texts = [*bbc_texts, *vader_texts]
    verify_tokenizer(minilm_graph, minilm_reference, texts, texts[::-1], fuzz=0)


def test_marks_that_survive_stripping_are_sorted_as_nfd_sorts_them(strange_graph):
    # U+0316 is stripped, U+034F too but stops the sorting, U+0001 is cleaned before.
    marks = "\u302e\U0001d165\u1b44\u08d4a,\u0316\u034f\u0001\U0001d15e \u4e00"
    chance = np.random.default_rng(0)
    texts = ["".join(chance.choice(list(marks), 7)) for _ in range(5000)]
    assert differences(strange_graph(lowercase=True), texts) == []


def test_marks_are_sorted_by_a_vocabulary_that_also_has_stripped_ones(minilm):
    tokenizer = tokenizers.Tokenizer.from_str(tokenizer_json(minilm))
    marks = ("\u0301", "\u302e", "\U0001d165")
    pieces = ["[UNK]", "[PAD]", "a", *marks, *(f"##{mark}" for mark in marks)]
    tokenizer.model = models.WordPiece(
        {piece: token_id for token_id, piece in enumerate(pieces)}, unk_token="[UNK]"
    )
    texts = ["a\u302e\U0001d165", "\u302e\u0301\U0001d165a", "\u302e,\U0001d165"]
    assert differences(WordPieceGraph(tokenizer, 9), texts) == []


def test_words_of_99_to_101_characters_are_cut_off_like_the_reference(minilm):
    tokenizer = tokenizers.Tokenizer.from_str(tokenizer_json(minilm))
    texts = [
        f"x {letter * length}{end} y"
        for letter in ("a", "e\u0301", "\u00e9", "\u0130", "\uac01", "\u4e00", "-")
        for length in (99, 100, 101, 102, 300)
        for end in ("", "b", ",b", "\u0301", "\u200b")
    ]
    assert differences(WordPieceGraph(tokenizer, 400), texts) == []


def test_special_tokens_inside_a_text_are_plain_text(minilm, minilm_graph):
    ids = minilm_graph(tf.constant(["[SEP]", "a[MASK] b"]))["input_ids"].numpy()
    assert (ids == 102).sum() == 2  # The template's own, one a row.
    assert 103 not in ids


@pytest.mark.parametrize("name", ["cased", "nothing cleaned"])
def test_bytes_that_are_no_utf8_count_as_python_replaces_them(name, strange_graph):
    graph = strange_graph(**SETTINGS[name])
    chance = np.random.default_rng(0)
    broken = [b"\xed\xa0\x80", b"\xc0\x80", b"a\xe2\x82b", b"\xf4\x90\x80\x80", b"\xff"]
    for text in adversarial_texts(1000, 3):
        data = np.frombuffer(text.encode() + b"\x80", np.uint8).copy()
        data[chance.integers(len(data))] = chance.integers(256)
        broken.append(data.tobytes())
    found = graph(tf.constant(broken))["input_ids"]
    texts = [data.decode(errors="replace") for data in broken]
    expected = reference_at(graph.reference.tokenizer, 32).encode_batch(texts)
    np.testing.assert_array_equal(found, [encoding.ids for encoding in expected])


@pytest.mark.parametrize("max_length", [4, 5, 8, 11])
def test_pairs_are_cut_longest_first_like_the_reference(max_length, minilm):
    tokenizer = tokenizers.Tokenizer.from_str(tokenizer_json(minilm))
    graph = WordPieceGraph(tokenizer, max_length)
    texts = [" ".join("a" * length) for length in range(9)]
    firsts = [first for first in texts for _ in texts]
    assert differences(graph, firsts, pairs=texts * 9) == []


def test_the_template_may_be_any(minilm):
    tokenizer = tokenizers.Tokenizer.from_str(tokenizer_json(minilm))
    texts, pairs = ["one two three", "", "four"], ["five", "six seven", ""]
    tokenizer.post_processor = None
    assert differences(WordPieceGraph(tokenizer, 5), texts, pairs) == []
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS]:3 [CLS]:0 $A:1 [SEP]:2",
        pair="$B:2 [SEP]:1 $A:0 [SEP]:0 [MASK]:4",
        special_tokens=[("[CLS]", 101), ("[SEP]", 102), ("[MASK]", 103)],
    )
    tokenizer.enable_padding(pad_id=7, pad_type_id=5)
    assert differences(WordPieceGraph(tokenizer, 6), texts, pairs) == []


def test_an_empty_batch_has_no_rows(minilm_graph):
    batch = minilm_graph(tf.constant([], tf.string))
    assert all(tensor.shape[0] == 0 for tensor in batch.values())


def test_all_that_cannot_be_done_exactly_is_named_at_once(minilm):
    tokenizer = tokenizers.Tokenizer.from_str(tokenizer_json(minilm))
    tokenizer.normalizer = normalizers.NFKC()
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.add_tokens([AddedToken("my word")])
    tokenizer.enable_padding(direction="left")
    with pytest.raises(UnsupportedTokenizerError) as caught:
        WordPieceGraph(tokenizer, 32)
    for part in ("NFKC", "Metaspace", "my word", "left", "signature='tokens'"):
        assert part in str(caught.value)


@pytest.mark.parametrize("model", [models.BPE(), models.Unigram()])
def test_other_models_are_refused(model):
    with pytest.raises(UnsupportedTokenizerError, match="the graph does WordPiece"):
        WordPieceGraph(tokenizers.Tokenizer(model), 32)


def test_a_length_without_room_for_text_is_refused(minilm):
    with pytest.raises(SettingsError, match="Give at least 4"):
        WordPieceGraph(tokenizer_json(minilm), max_length=3)
