"""Full rows for causal models: nothing lost, nothing twice, nothing split or mixed."""

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from tiny_tokenizers import save_tokenizer

import kerasft as kft
from kerasft._errors import DataError, SettingsError
from kerasft.data.batching import BatchPlan
from kerasft.data.bins import best_fit
from kerasft.data.documents import Documents, documents_of
from kerasft.data.packing import (
    IGNORED,
    Stretches,
    full_windows,
    one_per_row,
    pack_examples,
    stretches_of,
)
from kerasft.data.tokenizer import Tokenizer

SIZES = st.lists(st.integers(0, 23), min_size=1, max_size=12)
LENGTHS = st.integers(2, 17)
INPUTS = ["input_ids", "attention_mask", "sequence_ids", "position_ids"]


def documents(sizes):
    """Documents of so many tokens, each token a number of its own; 7 ends them."""
    bounds = np.append(0, np.cumsum(sizes))
    ids = np.arange(100, 100 + bounds[-1], dtype="int32")
    marks = np.zeros(len(ids), "uint8")
    return Documents(ids, marks, bounds, np.zeros(0, "int32"))


def every_row(rows, width):
    inputs, labels = rows(np.arange(len(rows)), width, np.random.default_rng(0))
    assert list(inputs) == INPUTS
    for array in (*inputs.values(), labels):
        assert array.dtype == "int32" and array.shape == (len(rows), width)
    return inputs, labels


def pieces(rows, width):
    """Token ids and scored ids of each piece, row by row, as its arrays tell them."""
    inputs, labels = every_row(rows, width)
    found = []
    for i in range(len(rows)):
        ids, mask, numbers, positions = (inputs[name][i] for name in INPUTS)
        length = int(mask.sum())
        assert mask.tolist() == [1] * length + [0] * (width - length)
        assert length == rows.lengths[i]
        assert not numbers[length:].any() and not positions[length:].any()
        assert (ids[length:] == rows.pad_id).all()
        assert (labels[i, length:] == IGNORED).all()
        steps = np.diff(np.append(0, numbers[:length]))
        assert set(steps.tolist()) <= {0, 1} and numbers[0] == 1
        row = []
        for number in range(1, numbers.max() + 1):
            here = numbers == number
            assert positions[here].tolist() == list(range(here.sum()))
            scored = labels[i, here] != IGNORED
            assert (labels[i, here][scored] == ids[here][scored]).all()
            assert not scored[0]
            row.append((ids[here].tolist(), labels[i, here][scored].tolist()))
        found.append(row)
    return found


def but_the_first(some):
    """All ids of documents but the first of each."""
    parts = [some.ids[a:b] for a, b in zip(some.bounds, some.bounds[1:], strict=False)]
    return [i for part in parts for i in part[1:].tolist()]


# --- windows of the stream


@given(SIZES, LENGTHS)
def test_every_token_but_a_documents_first_is_predicted_once(sizes, length):
    assume(max(sizes) > 1)
    some = documents(sizes)
    rows = full_windows(some, length, pad_id=3)
    predicted = [i for row in pieces(rows, length) for _, ids in row for i in ids]
    assert predicted == but_the_first(some)


@given(SIZES, LENGTHS)
def test_windows_are_full_and_share_one_token_with_the_next(sizes, length):
    assume(max(sizes) > 1)
    some = documents(sizes)
    rows = full_windows(some, length)
    seen = [sum((ids for ids, _ in row), []) for row in pieces(rows, length)]
    assert (rows.lengths[:-1] == length).all()
    for one, other in zip(seen, seen[1:], strict=False):
        assert one[-1] == other[0]
    joined = seen[0] + [i for row in seen[1:] for i in row[1:]]
    assert joined == some.ids.tolist()


@given(SIZES, LENGTHS)
def test_no_piece_of_a_window_holds_two_documents(sizes, length):
    assume(max(sizes) > 1)
    some = documents(sizes)
    owner = np.repeat(np.arange(len(sizes)), sizes)
    for row in pieces(full_windows(some, length), length):
        owners = [set(owner[np.array(ids) - 100].tolist()) for ids, _ in row]
        assert [len(one) for one in owners] == [1] * len(row)
        assert len(set.union(*owners)) == len(row)


@given(SIZES, LENGTHS)
def test_an_unseparated_stream_predicts_all_but_its_first_token(sizes, length):
    assume(sum(sizes) > 1)
    some = documents(sizes)
    rows = pieces(full_windows(some, length, separate=False), length)
    assert [len(row) for row in rows] == [1] * len(rows)
    assert [i for ((_, ids),) in rows for i in ids] == some.ids[1:].tolist()


def test_a_window_reads_as_it_is_drawn():
    rows = full_windows(documents([3, 0, 4, 2]), 5, pad_id=9)
    inputs, labels = every_row(rows, 6)
    expected = {
        "input_ids": [[100, 101, 102, 103, 104, 9], [104, 105, 106, 107, 108, 9]],
        "attention_mask": [[1, 1, 1, 1, 1, 0]] * 2,
        "sequence_ids": [[1, 1, 1, 2, 2, 0], [1, 1, 1, 2, 2, 0]],
        "position_ids": [[0, 1, 2, 0, 1, 0], [0, 1, 2, 0, 1, 0]],
    }
    assert {name: array.tolist() for name, array in inputs.items()} == expected
    no = IGNORED
    assert labels.tolist() == [[no, 101, 102, no, 104, no], [no, 105, 106, no, 108, no]]


def test_documents_take_any_opening_and_end(tmp_path):
    tokenizer = Tokenizer.from_pretrained(save_tokenizer(tmp_path), 24)
    texts = ["a good film", "", "bad"]
    plain = [tokenizer.backend.encode(t, add_special_tokens=False).ids for t in texts]
    some = documents_of(kft.from_lists(texts), tokenizer, [50, 51], [52])
    assert some.ids.tolist() == [50, 51, *plain[0], 52, 50, 51, *plain[2], 52]
    assert some.lengths.tolist() == [3, 0, 1]
    assert some.marks.shape == some.ids.shape
    none = documents_of(kft.from_lists(texts), tokenizer, separator=[])
    assert none.ids.tolist() == [*plain[0], *plain[2]]


def test_documents_of_another_end_are_not_found_in_the_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("KERASFT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("kerasft.data.documents.CACHED_FROM", 2)
    tokenizer = Tokenizer.from_pretrained(save_tokenizer(tmp_path), 24)
    rows = kft.from_lists(["a good film", "bad"])
    ends = [documents_of(rows, tokenizer, (), [end]).ids[-1] for end in (8, 9, 8)]
    assert ends == [8, 9, 8]
    assert documents_of(rows, tokenizer).ids[-1] == 3


def test_bbc_articles_fill_the_windows(bbc_texts, minilm):
    tokenizer = Tokenizer.from_pretrained(minilm, 512)
    some = documents_of(kft.from_lists(bbc_texts), tokenizer, (), [102])
    rows = full_windows(some, 512)
    assert BatchPlan(rows.lengths, 8, shuffle=True).padding_share() < 0.01


# --- whole examples


@given(st.lists(st.integers(1, 20), min_size=1, max_size=60), st.integers(20, 30))
def test_best_fit_takes_the_fullest_row_that_has_room(lengths, room):
    spaces = []
    for length in sorted(lengths, reverse=True):
        fitting = [space for space in spaces if space >= length]
        space = min(fitting, default=room)
        if fitting:
            spaces.remove(space)
        spaces.append(space - length)
    row_of = best_fit(np.array(lengths), room)
    used = np.bincount(row_of, lengths).astype(int)
    assert sorted(room - used) == sorted(spaces)


@given(SIZES, st.integers(2, 17), st.data())
def test_examples_are_packed_whole_with_their_scored_tokens(sizes, length, data):
    some = documents([2 + size % (length - 1) for size in sizes])
    scored = data.draw(
        st.lists(st.booleans(), min_size=len(some.ids), max_size=len(some.ids))
    )
    scored = np.array(scored)
    examples = Stretches(some.ids, some.bounds[:-1], some.bounds[1:], scored)
    for make in (pack_examples, one_per_row):
        rows = make(examples, length)
        found = [piece for row in pieces(rows, length) for piece in row]
        expected = []
        for start, stop in zip(some.bounds, some.bounds[1:], strict=False):
            counts = scored[start:stop].copy()
            counts[0] = False
            ids = some.ids[start:stop]
            expected.append((ids.tolist(), ids[counts].tolist()))
        assert sorted(found) == expected


@given(SIZES, LENGTHS)
def test_long_documents_are_cut_and_lose_nothing(sizes, length):
    assume(max(sizes) > 1)
    some = documents(sizes)
    rows = one_per_row(stretches_of(some, length), length)
    found = pieces(rows, length)
    assert [i for row in found for _, ids in row for i in ids] == but_the_first(some)
    for row, size in enumerate(sizes):
        lengths = rows.lengths[rows.rows == row]
        assert (lengths[:-1] == length).all()
        assert lengths.sum() - len(lengths) == size - (size > 0)


def test_packing_takes_fewer_rows_than_padding(bbc_texts, minilm):
    tokenizer = Tokenizer.from_pretrained(minilm, 512)
    some = documents_of(kft.from_lists(bbc_texts), tokenizer, (), [102])
    examples = stretches_of(some, 1024)
    packed = pack_examples(examples, 1024)
    least = -(-int(examples.lengths.sum()) // 1024)
    assert least <= len(packed) < 1.02 * least
    assert len(one_per_row(examples, 1024)) > 2 * least


def test_what_cannot_be_packed_is_refused():
    some = documents([5, 9, 12])
    examples = stretches_of(some, 20)
    with pytest.raises(
        DataError, match="2 of 3 examples .* row of 8 .* longest has 12"
    ):
        pack_examples(examples, 8)
    with pytest.raises(DataError, match="longer than a row"):
        one_per_row(examples, 8)
    with pytest.raises(DataError, match="No text has two tokens"):
        full_windows(documents([1, 1]), 8)
    for make in (full_windows, stretches_of):
        with pytest.raises(SettingsError, match="length is 1; a row needs two"):
            make(some, 1)
    with pytest.raises(SettingsError, match="needs two"):
        pack_examples(examples, 1)


# --- in the pipeline


@pytest.mark.parametrize("pack", [True, False])
def test_rows_are_batches_of_the_pipeline(pack):
    from kerasft.data.pipeline import Batches

    some = documents([5, 9, 12, 3, 3, 8, 1])
    examples = stretches_of(some, 12)
    rows = (pack_examples if pack else one_per_row)(examples, 12)
    plan = BatchPlan(rows.lengths, 2, shuffle=True, group_by_length=True)
    batches = Batches(rows, plan, pad_id=rows.pad_id, make=rows)
    seen = []
    for inputs, labels in batches.dataset():
        assert {name: t.dtype.name for name, t in inputs.items()} == dict.fromkeys(
            INPUTS, "int32"
        )
        assert inputs["input_ids"].shape == labels.shape
        seen += labels.numpy()[labels.numpy() != IGNORED].tolist()
    assert sorted(seen) == but_the_first(some)
    assert 0 <= batches.padding_share < 0.5
