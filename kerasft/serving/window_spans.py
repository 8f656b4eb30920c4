"""Where the windows of texts lie, in TensorFlow ops: the arithmetic alone.

The same numbers as `windows` and `owned` of `kerasft.data.windows` give text by text,
and as `question_examples` gives for questions, for a whole batch.
"""

from typing import NamedTuple

import tensorflow as tf


class WindowSpans(NamedTuple):
    """The windows of many texts, the first text's first.

    Args:
        text: int32 (windows,), the number of each window's text.
        starts: alike; its first token, as a number in its text.
        stops: alike; the token after its last.
        firsts: alike; the first token that the window answers for.
        lasts: alike; the token after the last of those.
    """

    text: tf.Tensor
    starts: tf.Tensor
    stops: tf.Tensor
    firsts: tf.Tensor
    lasts: tf.Tensor


def window_spans(lengths, rooms, overlaps) -> WindowSpans:
    """Cut texts into windows that overlap; an overlap is shared out at its middle.

    Args:
        lengths: int32 (texts,), tokens of each text.
        rooms: int32 (texts,), the most tokens of its windows, at least 1.
        overlaps: int32 (texts,), tokens that its neighbouring windows share, fewer than
            the room.
    """
    steps = rooms - overlaps
    counts = tf.maximum(1, -((overlaps - lengths) // steps))
    text = tf.repeat(tf.range(tf.size(lengths)), counts)
    number = tf.ragged.range(counts).flat_values
    lengths, rooms, steps, counts = (
        tf.gather(values, text) for values in (lengths, rooms, steps, counts)
    )
    starts = number * steps
    firsts = starts + (rooms - steps + 1) // 2
    lasts = firsts + steps
    return WindowSpans(
        text,
        starts,
        stops=tf.minimum(starts + rooms, lengths),
        firsts=tf.where(number == 0, 0, firsts),
        lasts=tf.where(number == counts - 1, lengths, lasts),
    )


def kept_lengths_of_firsts(firsts, seconds, room: int):
    """How many tokens of a first text stay before the windows of a second.

    All, but at most half of the room, unless the second text needs less than the rest;
    and at least one place is the second's.

    Args:
        firsts: int32 (texts,), tokens of the first texts.
        seconds: int32 (texts,), tokens of the second texts.
        room: tokens that fit beside the special ones.
    """
    most = tf.maximum(room // 2, room - seconds)
    return tf.minimum(firsts, tf.minimum(room - 1, most))
