"""Parts of texts lose, in the graph, the spaces that they lose in training."""

import random

import numpy as np
import tensorflow as tf

from kerasft.data.pieces import without_spaces
from kerasft.serving.bare_spans import bare
from kerasft.serving.fuzz import SPACES


def test_parts_lose_what_they_lose_in_training():
    chance = random.Random(0)
    texts = ["", " ", "a"]
    for _ in range(300):
        texts.append("".join(chance.choice((*SPACES, *"abc")) for _ in range(9)))
    row, starts, ends, wanted = [], [], [], []
    for i, text in enumerate(texts):
        bounds = [sorted(chance.choices(range(len(text) + 1), k=2)) for _ in range(9)]
        own = np.array(bounds, "int32").T
        row += [i] * 9
        starts += own[0].tolist()
        ends += own[1].tolist()
        wanted.append(np.stack(without_spaces(text, *own)))
    found = bare(tf.constant(texts), row, tf.constant(starts), tf.constant(ends))
    np.testing.assert_array_equal(np.stack(found), np.concatenate(wanted, axis=1))


def test_no_texts_have_no_parts():
    none = tf.zeros([0], tf.int32)
    starts, ends = bare(tf.constant([], tf.string), none, none, none)
    assert tf.size(starts) == tf.size(ends) == 0
