"""What a loop of single tokens does its own way: same numbers as elsewhere."""

import numpy as np
import pytest
from keras import ops
from numpy.testing import assert_allclose
from tensorflow_or_skip import tf

from kerasft.layers.kv_cache import LayerCache
from kerasft.layers.next_token import NextTokenHead


def random(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


@pytest.mark.parametrize("tokens", [11, 64, 80])
def test_the_turned_table_gives_the_logits_of_the_head(tokens):
    head, table = NextTokenHead(tokens, tied=True), random(tokens, 8)
    head.build((None, None, 8))
    hidden = random(3, 2, 8, seed=1)
    found = head.by_turned(hidden, head.turned(table))
    assert_allclose(found, head(hidden, table), rtol=1e-4)


def test_a_head_that_is_not_the_plain_table_has_none_to_turn():
    table = random(11, 8)
    own, adapted = NextTokenHead(11, tied=False), NextTokenHead(11, tied=True)
    for head in (own, adapted):
        head.build((None, None, 8))
    adapted.decoder.adapter = object()
    assert own.turned(table) is None and adapted.turned(table) is None


@pytest.mark.parametrize("own", [True, False])
@pytest.mark.parametrize("offset", [0, 2])
@pytest.mark.parametrize("count", [1, 3])
def test_keys_are_written_at_their_places_and_nowhere_else(own, offset, count):
    kept, new = random(2, 3, 9, 4), random(2, 3, count, 4, seed=1)

    @tf.function
    def written(keys, values, first):
        cache = LayerCache(keys, values, first, offset, own)
        return cache.extended(new, 2 * new)

    keys, values = written(ops.array(kept), ops.array(-kept), 4)
    for found, start, added in ((keys, kept, new), (values, -kept, 2 * new)):
        expected = start.copy()
        expected[:, :, 4 + offset : 4 + offset + count] = added
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("offset", [0, 2])
def test_a_prompt_is_written_behind_virtual_tokens_alone(offset):
    kept, new = random(2, 3, 9, 4), random(2, 3, 5, 4, seed=1)
    kept[:, :, offset:] = 0
    cache = LayerCache(ops.array(kept), ops.array(-kept), 0, offset)
    found = cache.extended(ops.array(new), ops.array(2 * new))
    for places, start, added in zip(found, (kept, -kept), (new, 2 * new), strict=True):
        expected = start.copy()
        expected[:, :, offset : offset + 5] = added
        np.testing.assert_array_equal(places, expected)


@pytest.mark.parametrize("own", [True, False])
def test_places_filled_in_a_loop_are_all_there(own):
    kept, new = random(2, 3, 9, 4), random(6, 2, 3, 1, 4, seed=1)

    @tf.function
    def looped(keys, new):
        def step(place, keys, values):
            cache = LayerCache(keys, values, place, 0, own)
            written = cache.extended(new[place - 2], new[place - 2])
            return (place + 1, *written)

        def goes_on(place, keys, values):
            return place < 8

        return tf.while_loop(goes_on, step, (2, keys, 0 * keys))[1]

    expected = kept.copy()
    expected[:, :, 2:8] = new[:, :, :, 0].transpose(1, 2, 0, 3)
    found = looped(ops.array(kept), ops.array(new))
    np.testing.assert_array_equal(found, expected)
