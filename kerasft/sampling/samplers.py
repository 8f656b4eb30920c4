"""Logits to the next token: what may not be chosen, and the choice.

All are functions of tensors, (rows, vocabulary) logits among them, so that they run
within a compiled loop. Penalties and cuts equal those of `transformers`.
"""

import numpy as np
from keras import ops

# As logit of what cannot be chosen. Finite: 0 x inf is no number.
NEVER = -1e9


def penalised(logits, settings, history):
    """Logits after penalties, and without what would repeat a stretch of tokens.

    Args:
        logits: float32 (rows, vocabulary).
        settings: `Sampling`.
        history: a `History`.
    """
    if settings.repetition_penalty != 1.0:
        penalty = settings.repetition_penalty
        lower = ops.where(logits < 0, logits * penalty, logits / penalty)
        seen = _counts(history.tokens, history.mask, logits) > 0
        logits = ops.where(seen, lower, logits)
    if settings.frequency_penalty:
        made = _counts(history.tokens, history.made, logits)
        logits = logits - settings.frequency_penalty * made
    if settings.no_repeat_ngram_size:
        again = _would_repeat(history, settings.no_repeat_ngram_size)
        logits = ops.where(_counts(again[0], again[1], logits) > 0, NEVER, logits)
    return logits


class History:
    """The tokens before the one to be chosen.

    Args:
        tokens: int32 (rows, capacity).
        mask: (rows, capacity), 1 where there is a token.
        next_place: the place of the next one, a scalar.
        width: places of the prompts.
    """

    def __init__(self, tokens, mask, next_place, width):
        self.tokens = tokens
        self.mask = ops.cast(mask, "int32")
        self.next_place = next_place
        places = ops.arange(ops.shape(tokens)[1], dtype="int32")
        self.made = self.mask * ops.cast(places >= width, "int32")


def _counts(tokens, mask, logits):
    """How often each token of the vocabulary is among `tokens`, float32."""
    rows, vocabulary = ops.shape(logits)
    numbers = ops.arange(rows, dtype="int32")[:, None] * vocabulary + tokens
    flat = ops.reshape(numbers, (-1, 1))
    values = ops.cast(ops.reshape(mask, (-1,)), "float32")
    found = ops.scatter(flat, values, (rows * vocabulary,))
    return ops.reshape(found, (rows, vocabulary))


def _would_repeat(history, size):
    """Tokens that follow a stretch like the last `size` - 1, and which they are of."""
    tokens, mask = history.tokens, history.mask
    length = ops.shape(tokens)[1]
    places = ops.arange(length, dtype="int32")
    same = mask * ops.cast(places < history.next_place, "int32")
    for back in range(1, size):
        # The token `back` before a place, and the one `back` before the next.
        before = ops.take(tokens, ops.maximum(places - back, 0), axis=1)
        real = ops.take(mask, ops.maximum(places - back, 0), axis=1)
        real = real * ops.cast(places >= back, "int32")
        last = ops.take(tokens, ops.maximum(history.next_place - back, 0), axis=1)
        same = same * real * ops.cast(ops.equal(before, last[:, None]), "int32")
    return tokens, same


def cut(logits, settings):
    """Logits by temperature, with `NEVER` where a token cannot be chosen."""
    # Not divided: the graph's optimizer would do this for constants alone.
    logits = logits * (np.float32(1) / np.float32(settings.temperature))
    if settings.top_k:
        most = min(settings.top_k, logits.shape[-1])
        least = ops.top_k(logits, most)[0][:, -1:]
        logits = ops.where(logits < least, NEVER, logits)
    if settings.top_p < 1:
        logits = _top_p(logits, settings.top_p)
    if settings.min_p:
        chances = ops.softmax(logits)
        least = settings.min_p * ops.max(chances, -1, keepdims=True)
        logits = ops.where(chances < least, NEVER, logits)
    if settings.typical_p < 1:
        logits = _typical(logits, settings.typical_p)
    return logits


def cut_by(logits, temperature, top_k, top_p):
    """The same with settings that are tensors: scalars, the temperature above 0."""
    logits = logits * (1.0 / temperature)
    rising = ops.sort(logits, axis=-1)
    size = logits.shape[-1]
    kept = ops.where(top_k > 0, ops.minimum(top_k, size), size)
    least = ops.take(rising, size - kept, axis=-1)[:, None]
    return _top_p(ops.where(logits < least, NEVER, logits), top_p)


def _top_p(logits, share):
    order = ops.argsort(logits, axis=-1)  # The likeliest last.
    rising = ops.take_along_axis(ops.softmax(logits), order, axis=-1)
    # In float32, as where the share is a tensor.
    dropped = ops.cumsum(rising, axis=-1) <= 1.0 - ops.cast(share, "float32")
    last = ops.arange(logits.shape[-1]) == logits.shape[-1] - 1
    dropped = ops.logical_and(dropped, ops.logical_not(last))
    rank = ops.argsort(order, axis=-1)
    return ops.where(ops.take_along_axis(dropped, rank, axis=-1), NEVER, logits)


def _typical(logits, share):
    logs = ops.log_softmax(logits)
    chances = ops.exp(logs)
    expected = -ops.sum(chances * ops.where(chances > 0, logs, 0.0), -1, keepdims=True)
    distance = ops.absolute(-logs - expected)
    order = ops.argsort(distance, axis=-1)
    sums = ops.cumsum(ops.take_along_axis(chances, order, axis=-1), axis=-1)
    kept = ops.sum(ops.cast(sums < share, "int32"), axis=-1, keepdims=True)
    kept = ops.minimum(kept, logits.shape[-1] - 1)
    ordered = ops.take_along_axis(distance, order, axis=-1)
    farthest = ops.take_along_axis(ordered, kept, axis=-1)
    return ops.where(distance > farthest, NEVER, logits)


def drawn(logits, seed, rows, step):
    """Tokens (rows,) drawn by their probabilities.

    One even number decides for each row; it depends on the seed, the row's number and
    the step, and on nothing else, so neighbours do not change a text.

    Args:
        logits: float32 (rows, vocabulary).
        seed: integer, or a scalar tensor.
        rows: int32 (rows,) number of each.
        step: int32 scalar, tokens made so far.
    """
    sums = ops.cumsum(ops.softmax(logits), axis=-1)
    mark = even_numbers(seed, rows, step)[:, None] * sums[:, -1:]
    # The first token whose sum is above: one without any probability never is.
    place = ops.sum(ops.cast(sums <= mark, "int32"), axis=-1)
    return ops.minimum(place, logits.shape[-1] - 1)


def even_numbers(seed, rows, step):
    """Float32 (rows,) in [0, 1), each a hash of three integers.

    The rounds are those of MurmurHash3's last step (Appleby 2011), which spreads every
    bit over all; the same numbers come out on every device and in every export.
    """
    numbers = ops.cast(rows, "uint32")
    for word in (seed, step):
        numbers = _spread(numbers)
        numbers = ops.bitwise_xor(numbers, ops.cast(word, "uint32"))
    numbers = ops.bitwise_right_shift(_spread(_spread(numbers)), _uint(8))
    return ops.cast(numbers, "float32") * 2.0**-24


def _uint(number):
    return ops.convert_to_tensor(number, dtype="uint32")


def _spread(numbers):
    numbers = numbers + _uint(0x9E3779B9)
    for shift, factor in ((16, 0x85EBCA6B), (13, 0xC2B2AE35), (16, None)):
        shifted = ops.bitwise_right_shift(numbers, _uint(shift))
        numbers = ops.bitwise_xor(numbers, shifted)
        if factor is not None:
            numbers = numbers * _uint(factor)
    return numbers


def chosen(logits, settings, rows, step, seed):
    """The next token of each row, int32 (rows,)."""
    if not settings.chooses:
        return likeliest(logits)
    return drawn(cut(logits, settings), seed, rows, step)


def likeliest(logits):
    """The token of the largest logit of each row, the first of several, int32 (rows,).

    Keras' argmax tells -0 from 0 on TensorFlow and takes four times as long.
    """
    return ops.cast(ops.top_k(logits, 1)[1][:, 0], "int32")


def without_ends(logits, end_ids, forbidden):
    """Logits in which no end can be chosen where `forbidden`, a scalar, holds."""
    if not end_ids:
        return logits
    ends = ops.sum(ops.one_hot(list(end_ids), logits.shape[-1]), axis=0) > 0
    return ops.where(ops.logical_and(forbidden, ends), NEVER, logits)
