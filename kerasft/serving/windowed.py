"""From the tokens of texts to the inputs of a model, window by window, in the graph.

As `kerasft.data.windows` does it for training: a text longer than the model takes is
cut into windows that overlap, each between special tokens. `text_windows` does it for
taggers; `pair_windows`, for question answerers, puts a first text before each window
of a second one.

The way back: where `tokens` is not -1, it says which of the `TextPieces` of text `text`
stands at a position, so `starts`, `ends` and `words` tell where it is from. What lies
in two windows is used once if only the positions of `answers` are.
"""

from typing import NamedTuple

import tensorflow as tf

from kerasft.data.windows import overlap_of
from kerasft.serving.offsets import OffsetGraph, TextPieces
from kerasft.serving.packing import pack
from kerasft.serving.window_spans import kept_lengths_of_firsts, window_spans


class Windows(NamedTuple):
    """All windows of a batch, padded to the longest; each text has one or more.

    Args:
        inputs: dict of `input_ids`, `attention_mask`, `token_type_ids`, each int32
            (windows, longest).
        text: int32 (windows,), the number of the text (of the pair) of each window;
            ascending.
        tokens: int32 (windows, longest), the number of each position's token in its
            text (of a pair: in the second text); -1 where there is none.
        answers: bool (windows, longest), whether this window is the one to answer for
            the token. Each token has exactly one.
    """

    inputs: dict[str, tf.Tensor]
    text: tf.Tensor
    tokens: tf.Tensor
    answers: tf.Tensor


def text_windows(
    graph: OffsetGraph, pieces: TextPieces, overlap: int | None = None
) -> Windows:
    """Windows of texts, each of at most `graph.max_length` tokens.

    Args:
        graph: what has cut the texts.
        pieces: their tokens.
        overlap: tokens that neighbouring windows share; None: a quarter of what one
            holds of its text.

    Raises:
        SettingsError: windows would not move on.
    """
    template = graph.reference.single
    room = graph.max_length - _special(template)
    overlap = overlap_of(overlap, room)
    with tf.device("CPU"):
        lengths = _lengths(pieces.ids)
        spans = window_spans(
            lengths,
            tf.fill(tf.shape(lengths), room),
            tf.fill(tf.shape(lengths), overlap),
        )
        return _laid_out(graph, template, {"A": _cut(pieces.ids, spans)}, spans)


def pair_windows(
    graph: OffsetGraph,
    firsts: TextPieces,
    seconds: TextPieces,
    overlap: int | None = None,
) -> Windows:
    """Windows of second texts, each behind its first text.

    A first text that would leave less than half of the room is cut at its end, to half
    of it; but not if the whole second text fits beside more of it.

    Args:
        graph: what has cut the texts.
        firsts: tokens of the first texts: questions.
        seconds: tokens of as many second texts: contexts.
        overlap: tokens of the second text that neighbouring windows share; None: a
            quarter of what one holds of it.

    Raises:
        SettingsError: windows might not move on.
        tf.errors.InvalidArgumentError: there are not as many first texts as second.
    """
    template = graph.reference.pair
    room = graph.max_length - _special(template)
    overlap_of(overlap, room - room // 2)  # Smaller rooms are of one window.
    as_many = tf.debugging.assert_equal(
        firsts.ids.nrows(), seconds.ids.nrows(), "A first text for each second one."
    )
    with tf.device("CPU"), tf.control_dependencies([as_many]):
        lengths = _lengths(seconds.ids)
        kept = kept_lengths_of_firsts(_lengths(firsts.ids), lengths, room)
        rooms = room - kept
        overlaps = rooms // 4 if overlap is None else tf.minimum(overlap, rooms - 1)
        spans = window_spans(lengths, rooms, overlaps)
        whole = spans._replace(
            starts=tf.zeros_like(spans.text), stops=tf.gather(kept, spans.text)
        )
        texts = {"A": _cut(firsts.ids, whole), "B": _cut(seconds.ids, spans)}
        return _laid_out(graph, template, texts, spans)


def _special(template):
    return sum(len(piece.ids) for piece in template)


def _lengths(ragged):
    return tf.cast(ragged.row_lengths(), tf.int32)


def _cut(ids, spans):
    """The token ids of each window, ragged."""
    begins = tf.cast(tf.gather(ids.row_starts(), spans.text), tf.int32)
    places = tf.ragged.range(begins + spans.starts, begins + spans.stops)
    return places.with_values(tf.gather(ids.flat_values, places.flat_values))


def _laid_out(graph, template, texts, spans):
    """`Windows` of a template whose last text is the one that was cut."""
    reference = graph.reference
    inputs = pack(
        template, texts, graph.max_length, reference.pad_id, reference.pad_type_id
    )
    begin, cut_text = tf.zeros_like(spans.text), max(texts)
    for piece in template:
        if piece.sequence == cut_text:
            break
        begin += _lengths(texts[piece.sequence]) if piece.sequence else len(piece.ids)
    columns = tf.range(tf.shape(inputs["input_ids"])[1])[tf.newaxis]
    starts, stops, firsts, lasts = (part[:, tf.newaxis] for part in spans[1:])
    tokens = columns - begin[:, tf.newaxis] + starts
    tokens = tf.where((starts <= tokens) & (tokens < stops), tokens, -1)
    answers = (firsts <= tokens) & (tokens < lasts)
    return Windows(inputs, spans.text, tokens, answers)
