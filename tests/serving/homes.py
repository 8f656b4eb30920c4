"""The places a tokenizer graph is used in: eager calls, `tf.data`, a SavedModel."""

import numpy as np
import tensorflow as tf

from kerasft.serving.verify import NAMES, differing_rows, reference_at

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


def compare(graph, home, folder, texts):
    """Raise where the home differs from the reference; give the number of texts."""
    reference = reference_at(graph.reference.tokenizer, graph.max_length)
    compared = 0
    for found in HOMES[home](graph, folder)(texts):
        encoded = reference.encode_batch(texts[compared : compared + BATCH])
        for name, attribute in NAMES.items():
            expected = [getattr(one, attribute) for one in encoded]
            np.testing.assert_array_equal(found[name], expected)
        compared += len(encoded)
    return compared


def differences(graph, texts, pairs=()):
    """Texts and pairs of which the graph makes other inputs than its tokenizer."""
    reference = reference_at(graph.reference.tokenizer, graph.max_length)
    rows = [(text,) for text in texts] + list(zip(texts, pairs, strict=False))
    return differing_rows(graph, reference, rows)
