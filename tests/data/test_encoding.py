"""Rows tokenised once: the cache, what invalidates it, and how much memory it takes."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from tiny_tasks import save_tiny_bert
from tiny_tokenizers import save_tokenizer

import kerasft as kft
from kerasft._errors import DataError
from kerasft.data import encoding
from kerasft.data.encoding import Examples, encode_rows
from kerasft.data.tokenizer import Tokenizer

PROGRAM = Path(__file__).parent / "flat_memory.py"
TEXTS = [f"a good film {'very ' * (i % 9)}bad {i % 7}" for i in range(50)]
PARTS = ("ids", "lengths", "starts")


@pytest.fixture
def tokenizer(tmp_path):
    return Tokenizer.from_pretrained(save_tokenizer(tmp_path), 12)


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """The cache folder, used from 20 rows on, 8 rows at a time."""
    monkeypatch.setenv("KERASFT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(encoding, "CACHED_FROM", 20)
    monkeypatch.setattr(encoding, "CHUNK", 8)
    return tmp_path / "cache"


def assert_equal(one, other):
    for name in PARTS:
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))
    assert one.truncated == other.truncated
    assert (one.second_starts is None) == (other.second_starts is None)
    if one.second_starts is not None:
        np.testing.assert_array_equal(one.second_starts, other.second_starts)


def in_memory(rows, tokenizer):
    pairs = rows.text_pairs() if rows.has_pairs else None
    return Examples(*tokenizer.encode(rows.texts(), pairs))


PAIRS = {"single": None, "pairs": TEXTS[::-1]}


@pytest.mark.parametrize("pairs", PAIRS)
def test_examples_from_the_cache_equal_those_in_memory(cache, tokenizer, pairs):
    rows = kft.from_lists(TEXTS, text_pairs=PAIRS[pairs])
    expected = in_memory(rows, tokenizer)
    assert expected.truncated > 0
    assert_equal(encode_rows(rows, tokenizer), expected)
    assert_equal(encode_rows(rows, tokenizer), expected)
    assert len(expected) == 50


def test_what_is_in_the_cache_is_not_tokenised_again(cache, tokenizer, monkeypatch):
    rows = kft.from_lists(TEXTS)
    first = encode_rows(rows, tokenizer)

    def refuse(*_):
        raise AssertionError("tokenised again")

    monkeypatch.setattr(Tokenizer, "encode", refuse)
    assert_equal(encode_rows(kft.from_lists(TEXTS), tokenizer), first)


def test_cached_ids_are_mapped_not_read(cache, tokenizer):
    examples = encode_rows(kft.from_lists(TEXTS), tokenizer)
    before = examples.ids.tolist()
    assert len(examples.mapped) == 4 * len(before)
    examples.mapped.release()
    assert examples.ids.tolist() == before


def test_another_text_order_or_tokenizer_is_another_entry(cache, tokenizer, tmp_path):
    rows = kft.from_lists(TEXTS)
    (tmp_path / "other").mkdir()
    other = save_tokenizer(tmp_path / "other", words=["film"])
    cases = [
        (rows, tokenizer),
        (kft.from_lists([*TEXTS[:-1], "another"]), tokenizer),
        (rows.select(range(49, -1, -1)), tokenizer),
        (kft.from_lists(TEXTS, text_pairs=TEXTS), tokenizer),
        (rows, tokenizer.shortened(7)),
        (rows, Tokenizer.from_pretrained(other, 12)),
    ]
    for number, case in enumerate(cases, 1):
        assert_equal(encode_rows(*case), in_memory(*case))
        assert len(list(cache.iterdir())) == number


def test_a_run_killed_half_way_leaves_nothing(cache, tokenizer, monkeypatch):
    whole, calls = Tokenizer.encode, []

    def breaks(*arguments):
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return whole(*arguments)

    rows = kft.from_lists(TEXTS)
    with monkeypatch.context() as patch:
        patch.setattr(Tokenizer, "encode", breaks)
        with pytest.raises(KeyboardInterrupt):
            encode_rows(rows, tokenizer)
    assert list(cache.iterdir()) == []
    assert_equal(encode_rows(rows, tokenizer), in_memory(rows, tokenizer))


def test_a_killed_process_leaves_nothing_that_is_taken_for_examples(cache, tokenizer):
    # As after SIGKILL: a folder under its temporary name, without the mark.
    rows = kft.from_lists(TEXTS)
    encode_rows(rows, tokenizer)
    (entry,) = cache.iterdir()
    (entry / "examples.json").unlink()
    (entry / "ids").write_bytes(b"half")
    entry.rename(cache / f".{entry.name}.saving-0011aabb")
    assert_equal(encode_rows(rows, tokenizer), in_memory(rows, tokenizer))


def test_few_rows_stay_in_memory(tokenizer, tmp_path, monkeypatch):
    monkeypatch.setenv("KERASFT_CACHE", str(tmp_path / "cache"))
    examples = encode_rows(kft.from_lists(TEXTS), tokenizer)
    assert not (tmp_path / "cache").exists()
    assert examples.mapped is None


def test_no_rows_are_refused(tokenizer):
    rows = kft.from_lists(["a"]).select([])
    with pytest.raises(DataError, match="no rows to tokenise"):
        encode_rows(rows, tokenizer)


def test_texts_of_nothing_are_special_tokens_alone(tokenizer):
    examples = encode_rows(kft.from_lists(["", "  ", "good"]), tokenizer)
    assert examples.lengths.tolist() == [2, 2, 3]


def one_epoch(rows, folder):
    """What `flat_memory.py` tells of one epoch over so many rows."""
    checkpoint = folder / "tiny"
    checkpoint.mkdir()
    save_tiny_bert(checkpoint, num_layers=1)
    done = subprocess.run(
        [sys.executable, PROGRAM, checkpoint, str(rows)],
        env={
            **os.environ,
            "KERASFT_CACHE": str(folder / "cache"),
            "PYTHONPATH": str(PROGRAM.parents[2]),
        },
        check=True,
        capture_output=True,
        text=True,
    )
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="Linux tells VmHWM")
@pytest.mark.parametrize(
    "rows, growth",
    [
        (20_000, 100 * 2**20),
        pytest.param(10_000_000, 2**30, marks=pytest.mark.slow),
    ],
)
def test_memory_stays_flat_over_all_rows(rows, growth, tmp_path):
    told = one_epoch(rows, tmp_path)
    assert told["rows"] == rows
    assert told["tokens"] == told["expected"]
    peaks = told["peaks"]
    assert peaks["passed over"] - peaks["started"] < growth
    assert peaks["passed over"] < 2 * 2**30
