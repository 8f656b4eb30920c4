"""BPE over pieces in the graph gives the ids of the Rust tokenizer, and its texts."""

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
from piece_tokenizers import MARKED, piece_bpe
from tokenizers import decoders, normalizers

from kerasft.serving.fuzz import adversarial_texts
from kerasft.serving.piece_bpe import PieceBPEGraph
from kerasft.serving.piece_text import PieceText
from kerasft.serving.reference import UnsupportedTokenizerError
from kerasft.serving.verify import reference_at

LENGTH = 48
EDGES = "ab\u2581\u2581  \n\u00e9\u4e2d\U0001f600\x00<unk><0x0A>"


@functools.cache
def graph_of(kind):
    return PieceBPEGraph(piece_bpe(kind), LENGTH)


def edged(count, seed):
    chance = random.Random(seed)
    return [
        "".join(chance.choice(EDGES) for _ in range(chance.randrange(12)))
        for _ in range(count)
    ]


def fuzzed(kind, count, seed):
    pieces = sorted(piece_bpe(kind).get_vocab())
    return list(adversarial_texts(count, seed, pieces))


def changed(kind, **parts):
    config = json.loads(piece_bpe(kind).to_str())
    config["model"] |= parts
    return json.dumps(config)


@pytest.mark.parametrize("kind", MARKED)
def test_fuzzed_texts_and_pairs_get_the_ids_of_the_reference(kind):
    texts = [*fuzzed(kind, 2000, 1), *edged(2000, 2)]
    assert differences(graph_of(kind), texts, texts[::-1][:500]) == []


@pytest.mark.parametrize("home", HOMES)
def test_every_home_gives_the_ids_of_the_reference(home, vader_texts, tmp_path):
    texts = [*vader_texts[::40], *fuzzed("llama", 500, 3), *edged(500, 4)]
    assert compare(graph_of("llama"), home, tmp_path, texts) == len(texts)


@pytest.mark.slow
@pytest.mark.parametrize("kind", MARKED)
def test_all_real_and_a_hundred_thousand_fuzzed_texts_get_the_same_ids(
    kind, vader_texts, tmp_path
):
    texts = [*vader_texts, *fuzzed(kind, 100_000, 11), *edged(20_000, 12)]
    assert compare(graph_of(kind), "SavedModel", tmp_path, texts) > 140_000


@settings(max_examples=40, deadline=None)
@given(st.lists(st.text(), min_size=1, max_size=30), st.sampled_from([*MARKED]))
def test_any_text_gets_the_same_ids(texts, kind):
    graph = graph_of(kind)
    found = graph(tf.constant(texts))["input_ids"].numpy().tolist()
    reference = reference_at(graph.reference.tokenizer, LENGTH)
    assert found == [one.ids for one in reference.encode_batch(texts)]


def test_merges_over_the_beginning_of_a_mark_are_done():
    config = json.loads(piece_bpe("llama").to_str())
    size = 1 + max(config["model"]["vocab"].values())
    config["model"]["vocab"] |= {"a\u2581": size, "e\u2581t": size + 1}
    config["model"]["merges"][:0] = [["a", "\u2581"]]
    config["model"]["merges"] += [["e", "\u2581t"]]
    graph = PieceBPEGraph(json.dumps(config), LENGTH)
    assert not graph.reference.splits
    texts = ["a a the the", "be the banana a", *fuzzed("llama", 500, 5)]
    assert differences(graph, texts) == []
    assert size in graph.token_ids(["a a"]).to_list()[0]


def test_bytes_that_are_no_utf8_count_as_python_replaces_them():
    broken = [b"\xed\xa0\x80", b"a\xe2\x82b", b" \xff", b"\xf4\x90\x80\x80 a"]
    found = graph_of("llama").token_ids(tf.constant(broken)).to_list()
    texts = [data.decode(errors="replace") for data in broken]
    own = tokenizers.Tokenizer.from_str(piece_bpe("llama").to_str())
    own.no_padding()
    wanted = [one.ids for one in own.encode_batch(texts, add_special_tokens=False)]
    assert found == wanted


def test_an_empty_batch_has_no_rows():
    batch = graph_of("llama")(tf.constant([], tf.string))
    assert all(tensor.shape[0] == 0 for tensor in batch.values())


def test_all_that_cannot_be_done_exactly_is_named_at_once():
    own = tokenizers.Tokenizer.from_str(
        changed("llama", dropout=0.1, ignore_merges=True, byte_fallback=False)
    )
    own.normalizer = normalizers.NFKC()
    own.add_tokens(["my word"])
    own.enable_padding(direction="left")
    with pytest.raises(UnsupportedTokenizerError) as caught:
        PieceBPEGraph(own, 32)
    for part in ("NFKC", "dropout", "ignore_merges", "byte_fallback", "left", "added"):
        assert part in str(caught.value)


@pytest.mark.parametrize("skip_special", [True, False])
@pytest.mark.parametrize("stripped", [0, 1])
def test_random_ids_read_as_the_reference_reads_them(stripped, skip_special):
    """Bytes in a row are mostly no UTF-8; the last ids are of no token."""
    own = tokenizers.Tokenizer.from_str(piece_bpe("llama").to_str())
    parts = [decoders.Replace("\u2581", " "), decoders.ByteFallback(), decoders.Fuse()]
    parts += [decoders.Strip(" ", 1, 0)] * stripped
    own.decoder = decoders.Sequence(parts)
    size = own.get_vocab_size(with_added_tokens=True)
    chance = np.random.default_rng(1)
    bytes_ = [own.token_to_id(f"<0x{byte:02X}>") for byte in range(256)]
    letters = own.encode("\u4e2d\u00e9\U0001f600", add_special_tokens=False).ids
    ids = chance.integers(0, size + 9, [2000, 12])
    few = chance.random(ids.shape) < chance.random([2000, 1])
    ids = np.where(few, chance.choice([*bytes_, *letters * 40, 1], ids.shape), ids)
    ids[::3, 2 : 2 + len(letters)] = letters
    texts = PieceText(own, skip_special)(tf.constant(ids)).numpy()
    wanted = own.decode_batch(ids.tolist(), skip_special_tokens=skip_special)
    assert [text.decode() for text in texts] == wanted
    ragged = PieceText(own, skip_special)(tf.ragged.constant([[], ids[0].tolist()]))
    assert [text.decode() for text in ragged.numpy()] == ["", wanted[0]]


def test_another_decoder_is_refused():
    own = tokenizers.Tokenizer.from_str(piece_bpe("llama").to_str())
    own.decoder = decoders.Sequence([decoders.Fuse(), decoders.ByteFallback()])
    with pytest.raises(UnsupportedTokenizerError, match="Fuse and ByteFallback"):
        PieceText(own)
