"""Byte-level BPE in the graph gives the ids of the Rust tokenizer."""

import functools
import random

import numpy as np
import pytest
import tensorflow as tf
import tokenizers
from byte_tokenizers import GPT4O, KINDS, PROSE, byte_level
from homes import HOMES, compare, differences
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import AddedToken, Regex, models, normalizers, pre_tokenizers

from kerasft._errors import SettingsError
from kerasft.serving.byte_bpe import ByteBPEGraph
from kerasft.serving.byte_reference import letters_of_bytes
from kerasft.serving.composing import inert
from kerasft.serving.fuzz import adversarial_texts
from kerasft.serving.merges import Merges
from kerasft.serving.reference import UnsupportedTokenizerError
from kerasft.serving.verify import reference_at

LENGTH = 48
# What the expressions treat each in its own way.
EDGES = (
    "'sStTrREeVvmMlLdD19\u00b2\u0661 \u00a0\u3000\r\n\t\x0b\x85\x1c.,/_-\u017f\u212a"
)
EDGES += "\u00e9e\u0301\u4e2d\U0001f600\x00\ufeff\u200b\u0345\u07fd"


@functools.cache
def graph_of(kind):
    return ByteBPEGraph(byte_level(kind), LENGTH)


def copy(kind):
    return tokenizers.Tokenizer.from_str(byte_level(kind).to_str())


def edged(count, seed):
    """Texts of few characters, those where one word might end and another begin."""
    chance = random.Random(seed)
    return [
        "".join(chance.choice(EDGES) for _ in range(chance.randrange(12)))
        for _ in range(count)
    ]


def fuzzed(kind, count, seed):
    pieces = [*map(str, PROSE), *sorted(byte_level(kind).get_vocab())]
    return list(adversarial_texts(count, seed, pieces))


@pytest.mark.parametrize("kind", KINDS)
def test_fuzzed_texts_and_pairs_get_the_ids_of_the_reference(kind):
    texts = [*fuzzed(kind, 2000, 1), *edged(2000, 2)]
    assert differences(graph_of(kind), texts, texts[::-1][:500]) == []


@pytest.mark.parametrize("home", HOMES)
@pytest.mark.parametrize("kind", ["gpt2", "llama3"])
def test_every_home_gives_the_ids_of_the_reference(home, kind, vader_texts, tmp_path):
    texts = [*vader_texts[::40], *fuzzed(kind, 500, 3), *edged(500, 4)]
    assert compare(graph_of(kind), home, tmp_path, texts) == len(texts)


@pytest.mark.slow
@pytest.mark.parametrize(
    "kind, home",
    [(kind, home) for kind in ("gpt2", "llama3") for home in HOMES]
    + [(kind, "SavedModel") for kind in ("roberta", "qwen2", "modernbert")],
)
def test_every_home_gives_the_ids_of_all_real_and_a_hundred_thousand_fuzzed_texts(
    kind, home, vader_texts, tmp_path
):
    texts = [*vader_texts, *fuzzed(kind, 100_000, 11), *edged(20_000, 12)]
    assert compare(graph_of(kind), home, tmp_path, texts) == len(texts) > 140_000


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_every_code_point_gets_the_same_ids_alone_and_in_a_word(kind):
    points = [*range(0xD800), *range(0xE000, 0x110000)]
    forms = ("{}", "a{}b", "\u0345{}\u0334")
    texts = [form.format(chr(point)) for form in forms for point in points]
    assert differences(graph_of(kind), texts) == []


@settings(max_examples=40, deadline=None)
@given(st.lists(st.text(), min_size=1, max_size=30), st.sampled_from(KINDS))
def test_any_text_gets_the_same_ids(texts, kind):
    graph = graph_of(kind)
    found = graph(tf.constant(texts))["input_ids"].numpy().tolist()
    reference = reference_at(graph.reference.tokenizer, LENGTH)
    assert found == [one.ids for one in reference.encode_batch(texts)]


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_any_list_of_merges_is_done_in_its_order(data):
    """Also such as no training gives: parts made after what is made of them."""
    entries, pairs = list("abc"), {}
    for _ in range(data.draw(st.integers(0, 25))):
        pair = tuple(data.draw(st.sampled_from(entries)) for _ in "12")
        pairs[pair] = "".join(pair)
        entries = list(dict.fromkeys([*entries, pairs[pair]]))
    merges = data.draw(st.permutations(list(pairs)))
    vocabulary = {entry: i for i, entry in enumerate(entries)}
    reference = models.BPE(vocabulary, merges)
    ids = [vocabulary.get(chr(byte), -1) for byte in range(256)]
    triples = [
        (*map(vocabulary.get, pair), vocabulary["".join(pair)]) for pair in merges
    ]
    words = data.draw(st.lists(st.text("abcd", max_size=40), max_size=9))
    found = Merges(ids, triples)(tf.constant(words, tf.string)).to_list()
    assert found == [[t.id for t in reference.tokenize(word)] for word in words]


def test_long_words_are_merged_to_the_end():
    texts = [unit * count for unit in ("a", "the", "\u4e2d") for count in (999, 5000)]
    for kind in ("gpt2", "llama3"):
        long = ByteBPEGraph(byte_level(kind), 20_000)
        assert differences(long, texts) == []


@pytest.mark.parametrize("expression", [GPT4O, r"\p{Lu}+?\d|[a-z]{2}|\S"])
def test_other_expressions_cut_alike(expression):
    own = copy("qwen2")
    own.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(expression), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    graph = ByteBPEGraph(own, LENGTH)
    assert differences(graph, [*fuzzed("qwen2", 500, 5), *edged(2000, 6)]) == []


def test_composing_leaves_alone_what_the_reference_does_not_know():
    chance = random.Random(7)
    letters = [
        *inert(),
        *"ae\u00e9\u1100\u1161\u11a8\uac00\u0301\u0334\u0345\u0327\x00",
    ]
    texts = [
        "".join(chance.choice(letters) for _ in range(chance.randint(1, 6)))
        for _ in range(5000)
    ]
    assert differences(graph_of("qwen2"), texts) == []


@pytest.mark.parametrize("kind", ["gpt2", "roberta", "qwen2"])
def test_bytes_that_are_no_utf8_count_as_python_replaces_them(kind):
    chance = np.random.default_rng(0)
    broken = [b"\xed\xa0\x80", b"\xc0\x80", b"a\xe2\x82b", b"\xf4\x90\x80\x80", b"\xff"]
    broken += [b" \xff", b"\xef\xbb\xbfa"]
    for text in adversarial_texts(1000, 3):
        data = np.frombuffer(text.encode() + b"\x80", np.uint8).copy()
        data[chance.integers(len(data))] = chance.integers(256)
        broken.append(data.tobytes())
    graph = graph_of(kind)
    found = graph(tf.constant(broken))["input_ids"]
    texts = [data.decode(errors="replace") for data in broken]
    expected = reference_at(graph.reference.tokenizer, LENGTH).encode_batch(texts)
    np.testing.assert_array_equal(found, [encoding.ids for encoding in expected])


@pytest.mark.parametrize("kind", KINDS)
def test_special_tokens_inside_a_text_are_plain_text(kind):
    graph = graph_of(kind)
    added = graph.reference.tokenizer.get_added_tokens_decoder()
    texts = [token.content for token in added.values()]
    assert differences(graph, texts + [f"a{text} b" for text in texts]) == []
    ids = graph.token_ids(tf.constant(texts)).flat_values.numpy()
    assert set(ids.tolist()).isdisjoint(added)


@pytest.mark.parametrize("max_length", [5, 8, 11])
def test_pairs_are_cut_longest_first_like_the_reference(max_length):
    graph = ByteBPEGraph(byte_level("roberta"), max_length)
    texts = [" ".join("a" * length) for length in range(9)]
    firsts = [first for first in texts for _ in texts]
    assert differences(graph, firsts, pairs=texts * 9) == []


def test_bytes_without_a_token_leave_none_or_the_unknown_one():
    vocabulary = {"<unk>": 0, "a": 1, "b": 2, "ab": 3, "\u0120": 4}
    for unknown in ("<unk>", None):
        own = copy("gpt2")
        own.model = models.BPE(vocabulary, [("a", "b")], unk_token=unknown)
        graph = ByteBPEGraph(own, LENGTH)
        assert differences(graph, ["a\u00e9b aab", "xab", "\u00e9", ""]) == []
        assert graph.token_ids(["axb"]).to_list() == ([[1, 0, 2]] if unknown else [[3]])


@pytest.mark.parametrize("normalized", [True, False])
@pytest.mark.parametrize("kind", ["roberta", "modernbert"])
def test_added_tokens_are_cut_out_first(kind, normalized):
    own = copy(kind)
    added = ["  ", "   ", " \x00", "|||IP|||", "|||IPS|||", "ab", "bc", "(.*)"]
    added += [] if normalized else ["\u4e2d\u6587", "e\u0301", "\u0301"]
    own.add_tokens([AddedToken(token, normalized=normalized) for token in added])
    graph = ByteBPEGraph(own, LENGTH)
    pieces = [*added, *(token[:-1] for token in added), " ", "abcabc", "[SEP]", "<s>"]
    texts = [*adversarial_texts(1500, 8, pieces * 2), *edged(500, 9), "ab" * 40]
    texts += ["|||IPS||| |||IP|||", "a    b", "     ", "e\u0301ab\u0301", "abc(.*)"]
    assert differences(graph, texts, texts[::-1][:300]) == []
    broken = tf.constant([b"\xff  \xff|||IP|||"])
    text = "\ufffd  \ufffd|||IP|||"
    assert graph.token_ids(broken).to_list() == graph.token_ids([text]).to_list()


def test_letters_are_those_of_the_reference():
    alphabet = set(pre_tokenizers.ByteLevel.alphabet())
    assert set(letters_of_bytes()) == alphabet and len(alphabet) == 256


def test_an_empty_batch_has_no_rows():
    batch = graph_of("gpt2")(tf.constant([], tf.string))
    assert all(tensor.shape[0] == 0 for tensor in batch.values())


def test_all_that_cannot_be_done_exactly_is_named_at_once():
    own = copy("gpt2")
    own.normalizer = normalizers.NFKC()
    own.pre_tokenizer = pre_tokenizers.Metaspace()
    own.add_tokens([AddedToken("my word", lstrip=True), AddedToken("<|end")])
    own.enable_padding(direction="left")
    own.model = models.BPE({"a": 0}, [], dropout=0.1, end_of_word_suffix="</w>")
    with pytest.raises(UnsupportedTokenizerError) as caught:
        ByteBPEGraph(own, 32)
    parts = (
        "NFKC",
        "Metaspace",
        "my word",
        "lstrip",
        "overlap",
        "left",
        "dropout",
        "</w>",
        "tokens'",
    )
    for part in parts:
        assert part in str(caught.value)


@pytest.mark.parametrize(
    "expression",
    [r"\bx", r"a(?=b)|.", r"(?<!a)b", r"a++", r"^a", r"[a&&[b]]", r"a{,2}"],
)
def test_an_expression_that_cannot_be_translated_is_refused(expression):
    own = copy("qwen2")
    own.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(expression), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    with pytest.raises(UnsupportedTokenizerError, match="cannot cut texts by"):
        ByteBPEGraph(own, 32)


def test_unknown_bytes_that_are_joined_are_refused():
    own = copy("gpt2")
    own.model = models.BPE({"<unk>": 0}, [], unk_token="<unk>", fuse_unk=True)
    with pytest.raises(UnsupportedTokenizerError, match="uses fuse_unk"):
        ByteBPEGraph(own, 32)


def test_a_length_without_room_for_text_is_refused():
    with pytest.raises(SettingsError, match="Give at least 5"):
        ByteBPEGraph(byte_level("roberta"), max_length=4)


def test_an_expression_that_finds_empty_words_is_refused():
    own = copy("qwen2")
    own.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(r"\p{L}*"), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    with pytest.raises(UnsupportedTokenizerError, match="finds empty words"):
        ByteBPEGraph(own, 32)
