"""Unigram in the graph gives the ids of the Rust tokenizer."""

import functools
import json
import random

import numpy as np
import pytest
import tensorflow as tf
import tokenizers
from homes import HOMES, compare, differences
from hypothesis import given, settings
from hypothesis import strategies as st
from piece_tokenizers import KINDS, copy, unigram
from tokenizers import AddedToken, models, normalizers, pre_tokenizers

from kerasft._errors import SettingsError
from kerasft.serving.best_pieces import BestPieces
from kerasft.serving.fuzz import adversarial_texts
from kerasft.serving.reference import UnsupportedTokenizerError
from kerasft.serving.unigram import UnigramGraph
from kerasft.serving.verify import reference_at

LENGTH = 48
EDGES = "ab\u2581 \u3000\t\n\r\x0b\x85\xa0\u2028\u00e9e\u0301\u0308\ufb01\u2460\u212b"
EDGES += "\u0130\u1e9e`'\u4e2d\U0001f600\x00\ufeff\u200b\u00ad\u0340\u0344\ufffd<unk>"


@functools.cache
def graph_of(kind):
    return UnigramGraph(unigram(kind), LENGTH)


def edged(count, seed):
    chance = random.Random(seed)
    return [
        "".join(chance.choice(EDGES) for _ in range(chance.randrange(12)))
        for _ in range(count)
    ]


def fuzzed(kind, count, seed):
    pieces = [piece for piece, _ in graph_of(kind).reference.vocabulary]
    return list(adversarial_texts(count, seed, pieces))


@pytest.mark.parametrize("kind", KINDS)
def test_fuzzed_texts_and_pairs_get_the_ids_of_the_reference(kind):
    texts = [*fuzzed(kind, 2000, 1), *edged(2000, 2)]
    assert differences(graph_of(kind), texts, texts[::-1][:500]) == []


@pytest.mark.parametrize("home", HOMES)
@pytest.mark.parametrize("kind", ["xlm-roberta", "albert"])
def test_every_home_gives_the_ids_of_the_reference(home, kind, vader_texts, tmp_path):
    texts = [*vader_texts[::40], *fuzzed(kind, 500, 3), *edged(500, 4)]
    assert compare(graph_of(kind), home, tmp_path, texts) == len(texts)


@pytest.mark.slow
@pytest.mark.parametrize(
    "kind, home",
    [("xlm-roberta", home) for home in HOMES]
    + [(kind, "SavedModel") for kind in KINDS if kind != "xlm-roberta"],
)
def test_every_home_gives_the_ids_of_all_real_and_a_hundred_thousand_fuzzed_texts(
    kind, home, vader_texts, tmp_path
):
    texts = [*vader_texts, *fuzzed(kind, 100_000, 11), *edged(20_000, 12)]
    assert compare(graph_of(kind), home, tmp_path, texts) == len(texts) > 140_000


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["xlm-roberta", "albert"])
def test_every_code_point_gets_the_same_ids_alone_and_in_a_word(kind):
    points = [*range(0xD800), *range(0xE000, 0x110000)]
    forms = ("{}", "a{}b", "e{}\u0301", "\u0301{}\u0301")
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
def test_any_vocabulary_cuts_alike_where_ways_are_as_likely(data):
    entries = st.lists(st.text("abc", min_size=1, max_size=4), unique=True, max_size=20)
    pieces = ["<unk>", *data.draw(entries)]
    likely = st.sampled_from([0.0, -1.0, -2.0, -2.5, -3.0])
    vocabulary = [(piece, data.draw(likely)) for piece in pieces]
    words = data.draw(st.lists(st.text("abcd", min_size=1, max_size=30), max_size=9))
    reference = models.Unigram(vocabulary, unk_id=0, byte_fallback=False)
    points = tf.strings.unicode_decode(tf.constant(words, tf.string), "UTF-8")
    found = BestPieces(vocabulary, 0)(points).to_list()
    assert found == [[token.id for token in reference.tokenize(w)] for w in words]


def test_long_words_are_cut_to_the_end():
    texts = [unit * count for unit in ("a", "the", "\u4e2d") for count in (999, 5000)]
    assert differences(UnigramGraph(unigram("xlm-roberta"), 20_000), texts) == []


@pytest.mark.parametrize("kind", ["xlm-roberta", "deberta-v2"])
def test_bytes_that_are_no_utf8_count_as_python_replaces_them(kind):
    chance = np.random.default_rng(0)
    broken = [b"\xed\xa0\x80", b"\xc0\x80", b"a\xe2\x82b", b"\xf4\x90\x80\x80", b"\xff"]
    for text in adversarial_texts(1000, 3):
        data = np.frombuffer(text.encode() + b"\x80", np.uint8).copy()
        data[chance.integers(len(data))] = chance.integers(256)
        broken.append(data.tobytes())
    graph = graph_of(kind)
    found = graph(tf.constant(broken))["input_ids"]
    texts = [data.decode(errors="replace") for data in broken]
    expected = reference_at(graph.reference.tokenizer, LENGTH).encode_batch(texts)
    np.testing.assert_array_equal(found, [encoding.ids for encoding in expected])


@pytest.mark.parametrize("max_length", [6, 8, 11])
def test_pairs_are_cut_longest_first_like_the_reference(max_length):
    graph = UnigramGraph(unigram("xlm-roberta"), max_length)
    texts = [" ".join("a" * length) for length in range(9)]
    firsts = [first for first in texts for _ in texts]
    assert differences(graph, firsts, pairs=texts * 9) == []


def test_an_empty_batch_has_no_rows():
    batch = graph_of("albert")(tf.constant([], tf.string))
    assert all(tensor.shape[0] == 0 for tensor in batch.values())


def test_a_length_without_room_for_text_is_refused():
    with pytest.raises(SettingsError, match="a pair of texts alone needs 4 special"):
        UnigramGraph(unigram("xlm-roberta"), 4)


def test_all_that_cannot_be_done_exactly_is_named_at_once():
    own = copy("xlm-roberta")
    own.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Strip()])
    own.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="never")
    own.add_tokens([AddedToken("my word", lstrip=True)])
    own.enable_padding(direction="left")
    config = json.loads(own.to_str())
    config["model"] |= {"byte_fallback": True, "unk_id": None}
    config["model"]["vocab"][5][1] = 0.5
    with pytest.raises(UnsupportedTokenizerError) as caught:
        UnigramGraph(json.dumps(config), 32)
    for part in ("NFKC", "never", "my word", "left", "byte_fallback", "no unknown"):
        assert part in str(caught.value)
    assert "above 0" in str(caught.value)


@pytest.mark.parametrize("before", [None, pre_tokenizers.Whitespace()])
def test_another_pre_tokeniser_is_refused(before):
    own = tokenizers.Tokenizer(models.Unigram([("a", -1.0)], 0, False))
    if before is not None:
        own.pre_tokenizer = before
    with pytest.raises(UnsupportedTokenizerError, match="pre_tokenizer is"):
        UnigramGraph(own, 32)
