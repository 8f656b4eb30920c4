"""Places in a text that rows name: what readers of relations and triples share."""

import numpy as np
import pyarrow as pa

from kerasft.data.faults import BadValue, shown

PLACE = pa.struct([("start", pa.int32()), ("end", pa.int32())])


def text_and_words(value) -> tuple[str, np.ndarray | None]:
    """The text, and where its words begin and end, (words, 2), if it is a list of them.

    Raises:
        BadValue: neither a text nor a list of words.
    """
    if isinstance(value, str):
        return value, None
    words = value.tolist() if isinstance(value, np.ndarray) else value
    fits = isinstance(words, list | tuple) and len(words) > 0
    if not fits or not all(isinstance(word, str) and word.strip() for word in words):
        raise BadValue(shown(value), "a text, or a list of words")
    lengths = np.array([len(word) for word in words])
    begins = np.cumsum(lengths + 1) - lengths - 1  # One space between.
    return " ".join(words), np.stack([begins, begins + lengths], axis=1)


def place_in(value, text: str, words: np.ndarray | None = None) -> dict:
    """Start and end, in characters, of a mention.

    Args:
        value: {"start": int, "end": int} or (start, end), without the last; or a text,
            of which the first place in `text` is taken.
        text: what it is in.
        words: where words begin and end, if `value` counts words and not characters.

    Raises:
        BadValue: it lies outside, is empty, or is not in the text.
    """
    if isinstance(value, str):
        start = text.find(value) if value.strip() else -1
        if start < 0:
            raise BadValue(f"the mention {shown(value)}", f"a part of {shown(text)}")
        return {"start": start, "end": start + len(value)}
    try:
        keys = ("start", "end")
        start, end = [value[k] for k in keys] if isinstance(value, dict) else value
        bounds = (start, end)
        whole = all(
            isinstance(n, int | np.integer) and not isinstance(n, bool) for n in bounds
        )
    except (KeyError, TypeError, ValueError):
        whole = False
    limit, what = (len(text), "characters") if words is None else (len(words), "words")
    if not whole or not 0 <= start < end <= limit:
        raise BadValue(
            f"the mention {shown(value)}",
            f"start and end, the first {what[:-1]} and the one after the last, within "
            f"{limit:,} {what}",
        )
    if words is not None:
        start, end = words[start, 0], words[end - 1, 1]
    return {"start": int(start), "end": int(end)}
