"""From logits of tokens, window by window, to a tag and a chance for each word.

A word without a token, such as a lone zero-width mark, gets a default tag and chance 0.
"""

import numpy as np

ROWS = 64  # decoded at once


def word_logits(task, found, batch_size):
    """Logits of each word of each row, put together from the windows.

    Args:
        task: whose logits.
        found: `TagExamples`.
        batch_size: windows worked on at once.

    Returns:
        Of each row float32 (words, tags); NaN where a word has no token.
    """
    logits = np.full((len(found.starts), len(task.labels)), np.nan, "float32")
    first = found.examples.starts
    for chosen, outputs in task.outputs(found.examples, batch_size):
        for i, output in zip(chosen, outputs, strict=True):
            length = found.examples.lengths[i]
            words = found.words[first[i] : first[i] + length]
            logits[words[words >= 0]] = output[:length][words >= 0]
    bounds = found.bounds
    return [logits[a:b] for a, b in zip(bounds, bounds[1:], strict=False)]


def best_tags(logits, default):
    """The best tag of each word by itself, and its probability: two (words,)."""
    known = ~np.isnan(logits[:, 0])
    tags = np.full(len(logits), default, "int32")
    chances = np.zeros(len(logits), "float32")
    if known.any():
        some = logits[known]
        parts = np.exp(some - some.max(-1, keepdims=True))
        tags[known] = some.argmax(-1)
        chances[known] = parts.max(-1) / parts.sum(-1)
    return tags, chances


def best_sequences(decode, rows, default):
    """The best tag sequence of each row, with each tag's marginal probability.

    Args:
        decode: as `decoder_of` makes it of a `CRF`.
        rows: of each row logits (words, tags).
        default: tag of a word without logits.
    """
    found = []
    for start in range(0, len(rows), ROWS):
        part = rows[start : start + ROWS]
        length = max([1, *map(len, part)])
        logits = np.zeros((len(part), length, rows[0].shape[-1]), "float32")
        mask = np.zeros((len(part), length), bool)
        for i, row in enumerate(part):
            mask[i, : len(row)] = known = ~np.isnan(row[:, 0])
            logits[i, : len(row)][known] = row[known]
        tags, chances = decode({"logits": logits, "mask": mask})
        tags = np.where(mask, tags, default).astype("int32")
        chances = np.where(mask, chances, 0).astype("float32")
        found += [
            (tags[i, : len(row)], chances[i, : len(row)]) for i, row in enumerate(part)
        ]
    return found
