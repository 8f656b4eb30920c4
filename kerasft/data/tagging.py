"""Tagged rows to examples with a label for each token.

A word's tag stands on its first token; all others are -100, as are special tokens and
what another window answers for.
"""

from dataclasses import dataclass

import numpy as np

from kerasft._errors import DataError
from kerasft.data.encoding import Examples
from kerasft.data.faults import did_you_mean
from kerasft.data.pieces import Pieces, cut, without_spaces, word_firsts
from kerasft.data.tagged import OUTSIDE, TaggedRows
from kerasft.data.tokenizer import Tokenizer
from kerasft.data.windows import frame_of, joined, overlap_of, owned

IGNORED = -100


@dataclass(frozen=True)
class TagExamples:
    """Windows of tagged texts.

    Args:
        examples: token ids.
        labels: (tokens,) int32: tag, or -100; None without tags.
        words: (tokens,) int32: the word, counted over all rows, that a token answers
            for; -1 where it answers for none.
        bounds: (rows + 1,) where each row's words begin.
        starts, ends: (words,) characters of each word in its text.
        tags: (words,) int32 tags, or None.
        rows: (examples,) the row of each example.
        cut_spans: labelled spans that begin or end within a word.
    """

    examples: Examples
    labels: np.ndarray | None
    words: np.ndarray
    bounds: np.ndarray
    starts: np.ndarray
    ends: np.ndarray
    tags: np.ndarray | None
    rows: np.ndarray
    cut_spans: int = 0


def tag_examples(
    rows: TaggedRows,
    tokenizer: Tokenizer,
    names: tuple[str, ...],
    overlap: int | None = None,
    goes_on=None,
) -> TagExamples:
    """Cut tagged rows into examples.

    Args:
        rows: words or texts.
        tokenizer: of the checkpoint.
        names: the tags, in the order of the logits.
        overlap: tokens that neighbouring windows of a long text share; None: a quarter
            of a window.
        goes_on: bool (tags + 1, tags + 1), [tag before, tag now]: within one entity,
            where windows should not part; None: they may part anywhere.

    Raises:
        DataError: tags that are not among `names`.
    """
    split = rows.kind == "words"
    texts = rows.column("words" if split else "text")
    pieces = cut(tokenizer, texts)
    words = _Words.of(pieces, texts, split)
    tags, cut_spans = None, 0
    if rows.has_labels and split:
        tags = _word_tags(rows, names)
    elif rows.has_labels:
        tags, cut_spans = _span_tags(rows, words, names)
    frame = frame_of(tokenizer)
    room = tokenizer.max_length - frame.size
    overlap = overlap_of(overlap, room)
    texts, answers, owners = [], [], []
    before, after = (np.full(len(gap), -1, "int32") for gap in frame.ids)
    for i in range(len(pieces)):
        here = pieces.of(i)
        answer = words.answers[here]
        may_cut = _may_cut(answer, tags, goes_on)
        for start, stop, first, last in owned(len(answer), room, overlap, may_cut):
            places = np.arange(start, stop)
            mine = (first <= places) & (places < last)
            texts.append((pieces.ids[here][start:stop],))
            answers += [before, np.where(mine, answer[start:stop], -1), after]
            owners.append(i)
    answers = np.concatenate(answers).astype("int32")
    labels = None
    if tags is not None:
        labels = np.append(tags, IGNORED)[answers].astype("int32")  # -1: the last.
    return TagExamples(
        joined(texts, frame),
        labels,
        answers,
        words.bounds,
        words.starts,
        words.ends,
        tags,
        np.array(owners, "int32"),
        cut_spans,
    )


@dataclass(frozen=True)
class _Words:
    """The words of all texts: bounds by text, characters, and the token of each."""

    bounds: np.ndarray
    starts: np.ndarray
    ends: np.ndarray
    answers: np.ndarray

    @classmethod
    def of(cls, pieces: Pieces, texts, split: bool):
        counts, starts, ends = [], [], []
        answers = np.full(len(pieces.ids), -1, "int64")
        total = 0
        for i in range(len(pieces)):
            here = pieces.of(i)
            numbers = pieces.words[here]
            firsts = np.flatnonzero(word_firsts(numbers))
            if not split:
                lasts = np.append(firsts[1:], len(numbers))[: len(firsts)] - 1
                bare = without_spaces(
                    texts[i], pieces.starts[here][firsts], pieces.ends[here][lasts]
                )
                starts.append(bare[0])
                ends.append(bare[1])
                answers[here][firsts] = total + np.arange(len(firsts))
                counts.append(len(firsts))
            else:
                lengths = np.array([len(word) for word in texts[i]], "int64")
                begins = np.cumsum(lengths + 1) - lengths - 1  # One space between.
                starts.append(begins)
                ends.append(begins + lengths)
                answers[here][firsts] = total + numbers[firsts]
                counts.append(len(lengths))
            total += counts[-1]
        return cls(
            np.concatenate([[0], np.cumsum(counts, dtype="int64")]).astype("int64"),
            np.concatenate(starts).astype("int32"),
            np.concatenate(ends).astype("int32"),
            answers,
        )


def _word_tags(rows, names):
    number = {name: i for i, name in enumerate(names)}
    column = rows.column("tags")
    unknown = sorted({tag for tags in column for tag in tags} - set(names))
    if unknown:
        meant = did_you_mean(unknown[0], names)
        raise DataError(
            f"{rows!r}: has the tags {', '.join(unknown[:20])}, but the task knows "
            f"{', '.join(names)}.{meant}"
        )
    return np.array([number[tag] for tags in column for tag in tags], "int32")


def _span_tags(rows, words, names):
    """The tag of each word, in the scheme whose prefixes `names` has; spans cut."""
    number = {name: i for i, name in enumerate(names)}
    column = rows.column("spans")
    labels = {span["label"] for spans in column for span in spans}
    unknown = sorted(kind for kind in labels if f"B-{kind}" not in number)
    if unknown or OUTSIDE not in number:
        raise DataError(
            f"{rows!r}: has spans labelled {', '.join(unknown) or 'nothing'}, but the "
            f"task has the tags {', '.join(names)}; expected O, B- and I- of each."
        )
    tags = np.full(len(words.starts), number[OUTSIDE], "int32")
    cut_spans = 0
    for i, spans in enumerate(column):
        first, stop = words.bounds[i], words.bounds[i + 1]
        starts, ends = words.starts[first:stop], words.ends[first:stop]
        for span in spans:
            inside = (starts < span["end"]) & (ends > span["start"])
            places = np.flatnonzero(inside)
            if not len(places):
                cut_spans += 1
                continue
            begins, closes = starts[places[0]], ends[places[-1]]
            cut_spans += bool(begins != span["start"] or closes != span["end"])
            spelt = _spelt(len(places), span["label"], number)
            tags[first + places] = [number[name] for name in spelt]
    return tags, cut_spans


def _spelt(count, kind, known):
    """Tags of an entity of `count` words, in the scheme that `known` has."""
    last, alone = next(
        (
            (last, alone)
            for last, alone in (("E", "S"), ("L", "U"))
            if f"{alone}-{kind}" in known
        ),
        ("I", "B"),
    )
    if count == 1:
        return [f"{alone}-{kind}"]
    inner = [f"I-{kind}"] * (count - 2)
    return [f"B-{kind}", *inner, f"{last}-{kind}"]


def _may_cut(answers, tags, goes_on):
    """Whether windows may part before a token: not within a known entity."""
    if tags is None or goes_on is None:
        return lambda place: True

    def may_cut(place):
        before = answers[:place][answers[:place] >= 0]
        after = answers[place:][answers[place:] >= 0]
        if not len(before) or not len(after):
            return True
        return not goes_on[tags[before[-1]], tags[after[0]]]

    return may_cut
