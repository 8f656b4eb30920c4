"""Windows over long texts: all of it is covered, and each token counts once."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tiny_tokenizers import save_tokenizer
from transformers import AutoTokenizer

from kerasft._errors import SettingsError
from kerasft.data.pieces import cut
from kerasft.data.tokenizer import Tokenizer
from kerasft.data.windows import frame_of, joined, overlap_of, owned, windows

TEXT = "the great good film the very awful boring plot a great good film"


@pytest.fixture
def folder(tmp_path):
    save_tokenizer(tmp_path)
    return tmp_path


@given(st.integers(0, 90), st.integers(1, 20), st.data())
def test_windows_cover_a_text_and_each_token_has_one_owner(length, room, data):
    overlap = data.draw(st.integers(0, room - 1))
    found = owned(length, room, overlap)
    owners = np.zeros(length, int)
    for start, stop, first, last in found:
        assert stop - start <= room and start <= first <= last <= stop
        owners[first:last] += 1
    assert (owners == 1).all()
    starts = [start for start, *_ in found]
    assert starts == sorted(set(starts)) and found[-1][1] == length


@given(st.integers(1, 90), st.integers(2, 20), st.data())
def test_windows_part_where_they_may(length, room, data):
    overlap = data.draw(st.integers(1, room - 1))
    allowed = set(data.draw(st.lists(st.integers(0, length))))
    found = owned(length, room, overlap, lambda place: place in allowed)
    spans = windows(length, room, overlap)
    for (*_, first, _), (start, _), (_, stop) in zip(
        found[1:], spans[1:], spans, strict=False
    ):
        within = allowed & set(range(start, stop + 1))
        assert first in within or not within


def test_windows_are_those_of_the_reference(folder):
    tokenizer = Tokenizer.from_pretrained(folder, 8)
    frame = frame_of(tokenizer)
    pieces = cut(tokenizer, [TEXT])
    spans = windows(len(pieces.ids), 8 - frame.size, 2)
    ours = joined([(pieces.ids[a:b],) for a, b in spans], frame)
    theirs = AutoTokenizer.from_pretrained(folder)(
        TEXT, max_length=8, truncation=True, stride=2, return_overflowing_tokens=True
    )["input_ids"]
    assert [
        ours.ids[a : a + n].tolist()
        for a, n in zip(ours.starts, ours.lengths, strict=True)
    ] == theirs


def test_the_frame_of_a_pair_is_that_of_the_reference(folder):
    tokenizer = Tokenizer.from_pretrained(folder, 40)
    frame, pieces = frame_of(tokenizer, pair=True), cut(tokenizer, [TEXT, "a film"])
    both = pieces.ids[pieces.of(0)], pieces.ids[pieces.of(1)]
    ours = joined([both], frame)
    theirs = AutoTokenizer.from_pretrained(folder)(TEXT, "a film")
    assert ours.ids.tolist() == theirs["input_ids"]
    second = ours.second_starts[0]
    types = [0] * second + [1] * (len(ours.ids) - second)
    assert types == theirs["token_type_ids"]


def test_pieces_know_their_words_and_characters(folder):
    reference = AutoTokenizer.from_pretrained(folder)
    tokenizer = Tokenizer.from_pretrained(folder, 40)
    texts = [TEXT, "", "  Awful,boring. "]
    pieces = cut(tokenizer, texts)
    for i, text in enumerate(texts):
        told = reference(
            text, add_special_tokens=False, return_offsets_mapping=True, verbose=False
        )
        here = pieces.of(i)
        assert pieces.ids[here].tolist() == told["input_ids"]
        assert pieces.words[here].tolist() == told.word_ids()
        starts, ends = pieces.starts[here].tolist(), pieces.ends[here].tolist()
        assert list(zip(starts, ends, strict=True)) == told["offset_mapping"]


def test_windows_that_would_not_move_on_are_refused():
    assert overlap_of(None, 10) == 2 and overlap_of(9, 10) == 9
    with pytest.raises(SettingsError, match="Give 0 to 9"):
        overlap_of(10, 10)
