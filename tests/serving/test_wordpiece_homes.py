"""One tokenizer graph, three homes: eager calls, `tf.data`, a loaded SavedModel.

Each gets the ids, masks and type ids of the Rust tokenizer, for MiniLM's vocabulary as
it is (uncased) and with case and accents kept.
"""

import numpy as np
import pytest
import tensorflow as tf
import tokenizers
from tokenizers import normalizers

from kerasft.serving.fuzz import adversarial_texts
from kerasft.serving.verify import NAMES, reference_at
from kerasft.serving.wordpiece import WordPieceGraph

BATCH = 512


def in_batches(tokenize):
    return lambda texts: (
        tokenize(tf.constant(texts[i : i + BATCH])) for i in range(0, len(texts), BATCH)
    )


def eager(graph, folder):
    return in_batches(graph)


def dataset(graph, folder):
    return lambda texts: (
        tf.data.Dataset.from_tensor_slices(texts).batch(BATCH).map(graph)
    )


def saved_model(graph, folder):
    module = tf.Module()
    module.graph = graph
    module.tokenize = tf.function(graph, [tf.TensorSpec([None], tf.string)])
    tf.saved_model.save(module, str(folder))
    loaded = tf.saved_model.load(str(folder))

    def tokenize(texts):
        return loaded.tokenize(texts)  # Holds `loaded`, which holds the tables.

    return in_batches(tokenize)


HOMES = {"eager": eager, "tf.data": dataset, "SavedModel": saved_model}


def of_casing(minilm, casing):
    """MiniLM's tokenizer; "cased" keeps case and accents."""
    own = tokenizers.Tokenizer.from_file(str(minilm / "tokenizer.json"))
    if casing == "cased":
        own.normalizer = normalizers.BertNormalizer(lowercase=False)
    return own


def compare(tokenizer, home, folder, texts):
    """Raise where the home differs from the reference; give the number of texts."""
    graph, reference = WordPieceGraph(tokenizer, 128), reference_at(tokenizer, 128)
    compared = 0
    for found in HOMES[home](graph, folder)(texts):
        encoded = reference.encode_batch(texts[compared : compared + BATCH])
        for name, attribute in NAMES.items():
            expected = [getattr(one, attribute) for one in encoded]
            np.testing.assert_array_equal(found[name], expected)
        compared += len(encoded)
    return compared


def fuzzed(tokenizer, count):
    return list(adversarial_texts(count, 11, sorted(tokenizer.get_vocab())))


@pytest.mark.parametrize("casing", ["uncased", "cased"])
@pytest.mark.parametrize("home", HOMES)
def test_every_home_gives_the_ids_of_the_reference(
    home, casing, minilm, bbc_texts, vader_texts, tmp_path
):
    tokenizer = of_casing(minilm, casing)
    texts = [*bbc_texts[::40], *vader_texts[::40], *fuzzed(tokenizer, 2000)]
    assert compare(tokenizer, home, tmp_path, texts) == len(texts)


@pytest.mark.slow
@pytest.mark.parametrize("casing", ["uncased", "cased"])
@pytest.mark.parametrize("home", HOMES)
def test_every_home_gives_the_ids_of_all_real_and_a_hundred_thousand_fuzzed_texts(
    home, casing, minilm, bbc_texts, vader_texts, tmp_path
):
    tokenizer = of_casing(minilm, casing)
    texts = [*bbc_texts, *vader_texts, *fuzzed(tokenizer, 100_000)]
    assert compare(tokenizer, home, tmp_path, texts) == len(texts) > 125_000
