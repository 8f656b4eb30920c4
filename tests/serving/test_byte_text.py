"""Token ids become, in the graph, the text that the Rust tokenizer makes of them."""

import numpy as np
import pytest
import tensorflow as tf
import tokenizers
from byte_tokenizers import KINDS, byte_level
from tokenizers import AddedToken, decoders

from kerasft.serving.byte_text import ByteText
from kerasft.serving.fuzz import adversarial_texts
from kerasft.serving.reference import UnsupportedTokenizerError


def with_added_tokens(kind):
    own = tokenizers.Tokenizer.from_str(byte_level(kind).to_str())
    strange = ["<|im end|>", "\u4e2d\u6587", "\u0120x", "\u00e9", " ", "\u00ff\u0100"]
    own.add_special_tokens(strange[:3])
    own.add_tokens([AddedToken(token, normalized=False) for token in strange[3:]])
    return own


@pytest.mark.parametrize("skip_special", [True, False])
@pytest.mark.parametrize("kind", KINDS)
def test_random_ids_read_as_the_reference_reads_them(kind, skip_special):
    """Random tokens are mostly no UTF-8; the last ids are of no token."""
    own = with_added_tokens(kind)
    size = own.get_vocab_size(with_added_tokens=True)
    chance = np.random.default_rng(1)
    bytes_ = [token for token in range(size) if len(own.id_to_token(token)) == 1]
    ids = chance.integers(0, size + 9, [1000, 12])
    few = chance.random(ids.shape) < chance.random([1000, 1])
    ids = np.where(
        few, chance.choice([*bytes_, *range(size - 6, size)], ids.shape), ids
    )
    texts = ByteText(own, skip_special)(tf.constant(ids)).numpy()
    wanted = own.decode_batch(ids.tolist(), skip_special_tokens=skip_special)
    assert [text.decode() for text in texts] == wanted


@pytest.mark.parametrize("kind", ["gpt2", "llama3"])
def test_texts_come_back(kind):
    own = tokenizers.Tokenizer.from_str(byte_level(kind).to_str())
    own.encode_special_tokens = True
    texts = list(adversarial_texts(1000, 2))
    ids = [one.ids for one in own.encode_batch(texts, add_special_tokens=False)]
    found = ByteText(own)(tf.ragged.constant(ids, tf.int32)).numpy()
    assert [text.decode() for text in found] == texts


def test_nothing_reads_nothing():
    read = ByteText(byte_level("gpt2"))
    assert read(tf.zeros([2, 0], tf.int32)).numpy().tolist() == [b"", b""]
    assert read(tf.constant([[-1, 10**6]])).numpy().tolist() == [b""]


def test_another_decoder_is_refused():
    own = with_added_tokens("gpt2")
    own.decoder = decoders.WordPiece()
    with pytest.raises(UnsupportedTokenizerError, match="decoder is WordPiece"):
        ByteText(own)
