"""Byte-level tokens in the graph have the characters and words of the reference."""

import functools

import numpy as np
import pytest
import tensorflow as tf
import tokenizers
from byte_tokenizers import byte_level
from tokenizers import models, pre_tokenizers, processors

from kerasft.serving.byte_offsets import ByteOffsetGraph
from kerasft.serving.fuzz import adversarial_texts
from kerasft.serving.reference import UnsupportedTokenizerError
from kerasft.serving.verify_offsets import differing_pieces

SPACED = ("", " a", "  a  b ", "\n a", "\u3000\u3000 a", "a   ", "   ", " \u00e9 ")


def changed(kind, prefix_space=None, post_processor=None):
    own = tokenizers.Tokenizer.from_str(byte_level(kind).to_str())
    if prefix_space is not None:
        own.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=prefix_space)
    if post_processor is not None:
        own.post_processor = post_processor
    return own


def roberta(**settings):
    return processors.RobertaProcessing(("</s>", 2), ("<s>", 0), **settings)


TOKENIZERS = {
    "gpt2": lambda: changed("gpt2"),
    "roberta": lambda: changed("roberta"),
    "llama3": lambda: changed("llama3"),
    "nothing trimmed": lambda: changed("roberta", None, roberta(trim_offsets=False)),
    "first space trimmed": lambda: changed(
        "roberta", True, roberta(add_prefix_space=False)
    ),
    "first space kept": lambda: changed(
        "roberta", False, roberta(add_prefix_space=True)
    ),
    "trimmed twice": lambda: changed(
        "gpt2", True, processors.Sequence([processors.ByteLevel(), roberta()])
    ),
    "no post-processor": lambda: changed(
        "gpt2", False, processors.ByteLevel(trim_offsets=False)
    ),
}


@functools.cache
def graph_of(name):
    return ByteOffsetGraph(TOKENIZERS[name](), 48)


def differences(graph, texts):
    cut = tf.function(graph.pieces, reduce_retracing=True)
    return differing_pieces(cut, graph.reference.tokenizer, texts)


@pytest.mark.parametrize("name", TOKENIZERS)
def test_real_and_fuzzed_texts_have_the_places_of_the_reference(name, vader_texts):
    pieces = sorted(graph_of(name).reference.tokenizer.get_vocab())
    texts = [*SPACED, *vader_texts[::80], *adversarial_texts(1000, 1, pieces)]
    texts += [space + text for space in SPACED for text in texts[8:100]]
    assert differences(graph_of(name), texts) == []


@pytest.mark.slow
@pytest.mark.parametrize("name", TOKENIZERS)
def test_all_real_and_a_hundred_thousand_fuzzed_texts(name, vader_texts):
    pieces = sorted(graph_of(name).reference.tokenizer.get_vocab())
    texts = [*vader_texts, *adversarial_texts(100_000, 2, pieces)]
    assert differences(graph_of(name), texts) == []


def test_a_token_of_a_part_of_a_character_is_from_all_of_it():
    own = changed("gpt2")
    letters = {letter: i for i, letter in enumerate(own.pre_tokenizer.alphabet())}
    own.model = models.BPE(letters, [])
    graph = ByteOffsetGraph(own, 48)
    found = graph.pieces(["a\u4e2d b"])
    assert found.starts.to_list() == [[0, 1, 1, 1, 3, 3]]
    assert found.ends.to_list() == [[1, 2, 2, 2, 3, 4]]
    assert found.words.to_list() == [[0, 0, 0, 0, 1, 1]]


def test_bytes_that_are_no_utf8_count_as_python_replaces_them():
    chance = np.random.default_rng(0)
    broken = [b"\xed\xa0\x80 b", b"\xc0\x80", b" \xff a", b"\xef\xbb\xbfa", b"\xff"]
    for text in adversarial_texts(500, 3):
        data = np.frombuffer(text.encode() + b"\x80 a", np.uint8).copy()
        data[chance.integers(len(data))] = chance.integers(256)
        broken.append(data.tobytes())
    assert differences(graph_of("roberta"), broken) == []


@pytest.mark.parametrize("texts", [[], [""], ["", " ", "a", ""]])
def test_texts_without_tokens_have_rows_without_tokens(texts):
    found = graph_of("roberta").pieces(tf.constant(texts, tf.string))
    assert [column.nrows() for column in found] == [len(texts)] * 4
    assert {column.dtype for column in found} == {tf.int32}


def test_places_that_are_lost_are_refused():
    with pytest.raises(UnsupportedTokenizerError, match="normalizer is NFC"):
        ByteOffsetGraph(byte_level("qwen2"), 48)
    own = changed("gpt2")
    own.model = models.BPE({"a": 0}, [])
    with pytest.raises(UnsupportedTokenizerError, match="no token for some bytes"):
        ByteOffsetGraph(own, 48)
