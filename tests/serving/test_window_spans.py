"""The arithmetic of windows in the graph is that of `kerasft.data.windows`."""

import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from kerasft.data.windows import owned
from kerasft.serving.window_spans import kept_lengths_of_firsts, window_spans


@st.composite
def cuts(draw):
    """(tokens, room, overlap) of a text."""
    room = draw(st.integers(1, 12))
    return draw(st.integers(0, 60)), room, draw(st.integers(0, room - 1))


def spans_of(texts):
    return window_spans(*(tf.constant(values) for values in zip(*texts, strict=True)))


@given(st.lists(cuts(), min_size=1, max_size=8))
@settings(max_examples=300, deadline=None)
def test_windows_of_a_batch_are_those_of_each_text(texts):
    expected = [
        (number, *window)
        for number, text in enumerate(texts)
        for window in owned(*text)
    ]
    found = [values.numpy() for values in spans_of(texts)]
    assert_array_equal(list(zip(*found, strict=True)), expected)


@given(cuts())
@settings(max_examples=100, deadline=None)
def test_each_token_is_answered_for_once(text):
    found = spans_of([text])
    parts = zip(found.firsts.numpy(), found.lasts.numpy(), strict=True)
    answered = [token for part in parts for token in range(*part)]
    assert answered == list(range(text[0]))


@given(st.integers(0, 40), st.integers(0, 40), st.integers(1, 20))
@settings(max_examples=300, deadline=None)
def test_as_much_stays_of_a_first_text_as_may(first, second, room):
    (kept,) = kept_lengths_of_firsts(tf.constant([first]), tf.constant([second]), room)
    assert kept == max(
        length
        for length in range(min(first, room - 1) + 1)
        if length <= room // 2 or length + second <= room
    )
