"""Tokens in the graph have the ids, characters and words of the Rust tokenizer."""

import json
import subprocess
import sys
import textwrap

import numpy as np
import pytest
import tensorflow as tf
import tokenizers
from tokenizers import normalizers

from kerasft.serving.fuzz import adversarial_texts
from kerasft.serving.offsets import OffsetGraph
from kerasft.serving.verify import BATCH, VerificationError, verify_tokenizer
from kerasft.serving.verify_offsets import differing_pieces, verify_pieces

SETTINGS = {
    "uncased": {"lowercase": True},
    "cased": {"lowercase": False},
    "uncased, accents kept": {"lowercase": True, "strip_accents": False},
    "cased, accents stripped": {"lowercase": False, "strip_accents": True},
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
}
# Letters that take marks, hold marks, are made of marks; marks of many classes, some of
# them stripped (U+0316), some not (U+302E), some neither moved nor passed (U+034F);
# what is removed before (U+0001), what is set apart (U+4E00).
MARKED = (
    "a\u00e9\u1ebf\u0344\u0f73\u0f75\u0f81\u0340\u0958\ufb2c\U0001d15e\U0001d160\uac01"
    "\u0300\u0316\u0334\u0345\u20e5\u302e\u1b44\u08d4\u094d\u0f71\u0f72\u05b0\u0327"
    "\U0001d165\U0001d16d\U0001e011\u034f\u0001\u4e00\ufa0e\U0002f800,\u0130 "
)


def of_casing(minilm, casing):
    """MiniLM's tokenizer; "cased" keeps case and accents."""
    own = tokenizers.Tokenizer.from_file(str(minilm / "tokenizer.json"))
    if casing == "cased":
        own.normalizer = normalizers.BertNormalizer(lowercase=False)
    return own


@pytest.fixture(scope="module")
def minilm_graphs(minilm):
    return {
        casing: OffsetGraph(of_casing(minilm, casing), 64)
        for casing in ("uncased", "cased")
    }


def differences(graph, texts):
    cut = tf.function(graph.pieces, reduce_retracing=True)
    return differing_pieces(cut, graph.reference.tokenizer, texts)


def fuzzed(graph, count, seed):
    pieces = sorted(graph.reference.vocabulary)
    return list(adversarial_texts(count, seed, pieces))


def marked(count, seed):
    chance = np.random.default_rng(seed)
    letters = list(MARKED)
    return [
        "".join(chance.choice(letters, chance.integers(1, 9))) for _ in range(count)
    ]


@pytest.mark.parametrize("casing", ["uncased", "cased"])
def test_real_and_fuzzed_texts_of_a_real_tokenizer(casing, minilm_graphs, vader_texts):
    graph = minilm_graphs[casing]
    cut = tf.function(graph.pieces, reduce_retracing=True)
    reference = graph.reference.tokenizer
    texts = vader_texts[::10]
    assert verify_pieces(cut, reference, texts, fuzz=2000) == len(texts) + 2000


@pytest.mark.parametrize("name", ["uncased", "only stripped", "nothing cleaned"])
def test_fuzzed_texts_of_a_strange_vocabulary(name, strange_offset_graph):
    graph = strange_offset_graph(**SETTINGS[name])
    texts = [*fuzzed(graph, 2000, seed=1), *marked(2000, seed=1)]
    assert differences(graph, texts) == []


@pytest.mark.slow
@pytest.mark.parametrize("name", SETTINGS)
def test_a_hundred_thousand_fuzzed_texts(name, strange_offset_graph):
    graph = strange_offset_graph(**SETTINGS[name])
    assert differences(graph, fuzzed(graph, 100_000, seed=2)) == []
    assert differences(graph, marked(100_000, seed=2)) == []


@pytest.mark.slow
@pytest.mark.parametrize("casing", ["uncased", "cased"])
def test_all_real_and_a_hundred_thousand_fuzzed_texts_of_a_real_tokenizer(
    casing, minilm_graphs, bbc_texts, vader_texts
):
    graph = minilm_graphs[casing]
    cut = tf.function(graph.pieces, reduce_retracing=True)
    texts = [*bbc_texts, *vader_texts, *marked(100_000, seed=3)]
    verify_pieces(cut, graph.reference.tokenizer, texts, fuzz=100_000, seed=7)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["uncased", "cased", "nothing cleaned"])
def test_every_code_point_in_a_word(name, strange_offset_graph):
    points = map(chr, [*range(0xD800), *range(0xE000, 0x110000)])
    texts = [f"a{point}\u0301b {point}\u302e" for point in points]
    assert differences(strange_offset_graph(**SETTINGS[name]), texts) == []


def pieces_of(graph, text):
    ids, starts, ends, words = (column.to_list()[0] for column in graph.pieces([text]))
    return list(zip(starts, ends, words, strict=True)), ids


def test_characters_are_those_of_the_text_as_it_came(minilm_graphs):
    # A removed character is in no span, all of what one became is from that one.
    found, _ = pieces_of(minilm_graphs["uncased"], "Z\u00fc\u0301rich\u200b \u4e2d!")
    assert found == [(0, 7, 0), (9, 10, 1), (10, 11, 2)]


def test_words_over_100_characters_are_one_unknown_token(minilm_graphs):
    texts = [
        f"x {letter * length}{end} y"
        for letter in ("a", "e\u0301", "\u00e9", "\u0130", "\uac01", "\u4e00", "-")
        for length in (99, 100, 101, 102, 300)
        for end in ("", "b", ",b", "\u0301", "\u200b")
    ]
    graph = minilm_graphs["uncased"]
    assert differences(graph, texts) == []
    found, ids = pieces_of(graph, f"x {'a' * 101} y")
    assert found == [(0, 1, 0), (2, 103, 1), (104, 105, 2)]
    assert ids[1] == graph.reference.unknown_id


def test_special_tokens_inside_a_text_are_plain_text(minilm_graphs):
    found, ids = pieces_of(minilm_graphs["uncased"], "a [SEP]")
    assert found == [(0, 1, 0), (2, 3, 1), (3, 6, 2), (6, 7, 3)]
    assert 102 not in ids


@pytest.mark.parametrize("name", ["uncased", "nothing cleaned"])
def test_bytes_that_are_no_utf8_count_as_python_replaces_them(
    name, strange_offset_graph
):
    chance = np.random.default_rng(0)
    broken = [b"\xed\xa0\x80 b", b"\xc0\x80", b"a\xe2\x82b", b"\xf4\x90\x80\x80c"]
    broken += [b"\xff a", b"\xef\xbb\xbfa", b"\xf0\x9f\x98 a", b"a\x00b"]
    for text in adversarial_texts(1000, 3):
        data = np.frombuffer(text.encode() + b"\x80 a", np.uint8).copy()
        data[chance.integers(len(data))] = chance.integers(256)
        broken.append(data.tobytes())
    assert differences(strange_offset_graph(**SETTINGS[name]), broken) == []


@pytest.mark.parametrize("texts", [[], [""], ["", " ", "\u0301", "a", ""]])
def test_texts_without_tokens_have_rows_without_tokens(texts, minilm_graphs):
    graph = minilm_graphs["uncased"]
    found = graph.pieces(tf.constant(texts, tf.string))
    assert [column.nrows() for column in found] == [len(texts)] * 4
    assert {column.dtype for column in found} == {tf.int32}
    if texts:
        assert differences(graph, texts) == []


def test_the_inputs_of_a_classifier_stay_as_they_are(minilm_graphs):
    graph = minilm_graphs["uncased"]
    verify_tokenizer(graph, graph.reference.tokenizer, [], fuzz=200)


PROGRAM = """
    import json, sys
    import tensorflow as tf, tensorflow_text
    pieces = tf.saved_model.load(sys.argv[1]).pieces
    found = [
        [column.to_list() for column in pieces(tf.constant(batch))]
        for batch in json.load(sys.stdin)
    ]
    assert not {"kerasft", "tokenizers", "transformers"} & set(sys.modules)
    print(json.dumps(found))
"""


@pytest.mark.parametrize("casing", ["uncased", "cased"])
def test_a_saved_model_needs_tensorflow_and_tensorflow_text_alone(
    casing, minilm_graphs, vader_texts, tmp_path
):
    graph = minilm_graphs[casing]
    texts = [*vader_texts[::40], *fuzzed(graph, 1000, seed=4), *marked(500, seed=4)]
    module = tf.Module()
    module.graph = graph
    module.pieces = tf.function(graph.pieces, [tf.TensorSpec([None], tf.string)])
    tf.saved_model.save(module, str(tmp_path))
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(PROGRAM), str(tmp_path)],
        input=json.dumps([texts[i : i + BATCH] for i in range(0, len(texts), BATCH)]),
        check=True,
        capture_output=True,
        text=True,
    )
    found = iter(json.loads(done.stdout.splitlines()[-1]))

    def cut(batch):
        return [tf.ragged.constant(column, tf.int32) for column in next(found)]

    assert differing_pieces(cut, graph.reference.tokenizer, texts) == []


def test_tokens_that_differ_are_shown_with_both(minilm_graphs):
    graph = minilm_graphs["uncased"]

    def cut(texts):
        pieces = graph.pieces(texts)
        return pieces._replace(ends=pieces.ends + 1)

    with pytest.raises(VerificationError, match=r"(?s)1 of 1.*\(1037, 0, 2, 0\)"):
        verify_pieces(cut, graph.reference.tokenizer, ["a"], fuzz=0)
