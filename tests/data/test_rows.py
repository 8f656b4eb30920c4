"""The rows object: selection, places, fingerprints, and flat memory."""

import os
import subprocess
import sys
from dataclasses import FrozenInstanceError

import numpy as np
import pytest

from kerasft._errors import DataError
from kerasft.data import cache, store
from kerasft.data.corpus import from_lists, from_rows, read_csv, read_jsonl

TEXTS = [f"text {i}" for i in range(100)]
LABELS = [f"class {i % 7}" for i in range(100)]


@pytest.fixture
def spilling(tmp_path, monkeypatch):
    """Every corpus goes to a mapped file of several record batches."""
    monkeypatch.setenv("KERASFT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(store, "SPILL_BYTES", 0)
    monkeypatch.setattr(store, "_BATCH_BYTES", 0)
    monkeypatch.setattr("kerasft.data.intake.ROWS_PER_BLOCK", 9)
    return tmp_path / "cache"


def test_rows_are_what_was_given_and_cannot_be_changed():
    rows = from_lists(TEXTS, LABELS)
    assert len(rows) == 100
    assert rows[3] == rows[-97] == {"text": "text 3", "label": "class 3"}
    assert rows.texts(98) == ["text 98", "text 99"] and rows.texts(5, 5) == []
    assert rows.where(3) == "texts[3]"
    assert not rows.has_pairs and rows.rejected == 0
    with pytest.raises(FrozenInstanceError):
        rows.rejected = 1
    with pytest.raises(TypeError):
        rows.columns["text"] = "other"
    with pytest.raises(IndexError):
        rows[100]
    with pytest.raises(DataError, match="one text each"):
        rows.text_pairs()


def test_selections_compose_and_keep_places():
    rows = from_lists(TEXTS, LABELS)
    part = rows.select(range(50, 100)).select([3, 1, 1])
    assert part.texts() == ["text 53", "text 51", "text 51"]
    assert part.where(1) == "texts[51]"
    assert part.fingerprint == rows.select([53, 51, 51]).fingerprint
    assert part.table is rows.table
    with pytest.raises(ValueError, match="read-only"):
        part.index[0] = 1
    for outside in ([100], [-1]):
        with pytest.raises(DataError, match="outside 0 to 99"):
            rows.select(outside)
    for no_numbers in ([True] * 100, [0.0]):
        with pytest.raises(DataError, match="Expected row numbers"):
            rows.select(no_numbers)
    assert rows.select([]).texts() == []
    assert rows.select([]).label_array(rows.labels).shape == (0,)
    assert rows.select([]).empty_texts == 0
    for labels, shape in ([["x"], ["y"]], (0, 2)), ([[0.5, 1.5], [1.5, 0.5]], (0, 2)):
        empty = from_lists(["a", "b"], labels).select([])
        assert empty.label_array(["x", "y"]).shape == shape


def test_the_mapped_file_gives_the_same_rows_as_memory(spilling, monkeypatch):
    pairs = [text[::-1] for text in TEXTS]
    mapped = from_lists(TEXTS, LABELS, pairs)
    monkeypatch.setattr(store, "SPILL_BYTES", 2**30)
    memory = from_lists(TEXTS, LABELS, pairs)
    assert (
        mapped.table.column("text").num_chunks > memory.table.column("text").num_chunks
    )
    assert mapped.fingerprint == memory.fingerprint
    order = np.random.default_rng(0).permutation(100)
    for a, b in [(mapped, memory), (mapped.select(order), memory.select(order))]:
        assert a.texts() == b.texts() and a.text_pairs(7, 9) == b.text_pairs(7, 9)
        assert [a.where(i) for i in range(100)] == [b.where(i) for i in range(100)]
        assert (a.label_array(a.labels) == b.label_array(b.labels)).all()
        assert a.labels == b.labels and a.label_counts == b.label_counts
    assert [p.suffix for p in spilling.iterdir()] == [".arrow"]


def test_a_failed_reading_leaves_no_file(spilling):
    def rows():
        for text in TEXTS:
            yield {"text": text}
        yield {"text": None}

    with pytest.raises(DataError, match="1 bad row, 100 good"):
        from_rows(rows(), "text")
    assert list(spilling.iterdir()) == []


def test_the_fingerprint_depends_on_content_and_order_alone(tmp_path):
    rows = from_lists(TEXTS, LABELS)
    path = tmp_path / "x.csv"
    lines = [f"{a},{b}" for a, b in zip(TEXTS, LABELS, strict=True)]
    path.write_text("\n".join(["review,stars", *lines]))
    assert read_csv(path, "review", "stars").fingerprint == rows.fingerprint
    others = [
        from_lists(TEXTS),
        from_lists(TEXTS, LABELS[::-1]),
        from_lists(TEXTS[::-1], LABELS[::-1]),
        from_lists(TEXTS, LABELS, TEXTS),
        from_lists(TEXTS, [[label] for label in LABELS]),
        from_lists(["text 0text", " 1", *TEXTS[2:]], LABELS),
        rows.select(range(99)),
        rows.select([*range(98), 99, 98]),
    ]
    assert len({rows.fingerprint, *(other.fingerprint for other in others)}) == 9


def test_empty_texts_are_kept_and_counted():
    blank = ["", "  ", "\t\n", "\u200b", "\u3000\ufeff", "\x00"]
    rows = from_lists([*blank, "a", " . "])
    assert len(rows) == 8 and rows.empty_texts == 6
    assert rows.select([0, 6, 7]).empty_texts == 1
    assert from_lists(["a", "b"], text_pairs=["", "c"]).empty_texts == 1


def test_lists_that_do_not_fit_are_refused():
    with pytest.raises(DataError, match="{'text': 2, 'label': 1}"):
        from_lists(["a", "b"], ["x"])
    with pytest.raises(DataError, match="found no rows"):
        from_lists([])
    with pytest.raises(DataError, match=r"texts\[1\]: found 5 in column 'text'"):
        from_lists(["a", 5])
    with pytest.raises(DataError, match=r"texts\[0\]: found half a surrogate"):
        from_lists(["\ud800"])


def test_dicts_from_a_generator_become_rows():
    rows = from_rows(({"t": t, "n": 1, "other": 0} for t in TEXTS), "t", "n")
    assert rows.texts() == TEXTS and rows.labels == ("1",)
    assert rows.where(9) == "rows[9]"
    with pytest.raises(
        DataError, match=r"rows\[0\]: found the keys 'a', expected a key"
    ):
        from_rows([{"a": 1}], "t")
    with pytest.raises(DataError, match=r"rows\[0\]: found 'a', expected a dict"):
        from_rows(["a"], "t")


def test_the_cache_folder_goes_by_the_environment(monkeypatch, tmp_path):
    monkeypatch.setenv("KERASFT_CACHE", str(tmp_path / "there"))
    assert cache.cache_folder() == tmp_path / "there"
    monkeypatch.delenv("KERASFT_CACHE")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache.cache_folder() == tmp_path / ".cache" / "kerasft"


def test_a_cache_that_cannot_be_written_is_named(spilling, monkeypatch):
    spilling.write_text("a file, not a folder")
    with pytest.raises(DataError, match="KERASFT_CACHE"):
        from_lists(TEXTS)


GROWTH = """
import resource, sys
from kerasft.data.corpus import read_csv, read_jsonl, from_rows
from_rows([{"text": "a", "label": "x"}], "text", "label")

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024

before = peak()
"""
READ_LARGE = """
rows = read_csv(sys.argv[1], "text", "label")
assert len(rows) == 2_000_000 and rows.labels == ("0", "1", "2")
print(peak() - before)
"""
GENERATE_LARGE = """
count = int(sys.argv[1])
words = "word " * 30
rows = ({"text": words + str(i), "label": i % 3} for i in range(count))
rows = from_rows(rows, "text", "label")
assert len(rows) == count and rows.texts(count - 1) == [words + str(count - 1)]
print(peak() - before)
"""


def growth(script, argument, folder):
    environment = os.environ | {"KERASFT_CACHE": str(folder)}
    command = [sys.executable, "-c", GROWTH + script, str(argument)]
    done = subprocess.run(command, env=environment, capture_output=True, check=True)
    return float(done.stdout)


@pytest.mark.slow
def test_memory_stays_flat_over_a_file_of_two_million_rows(tmp_path):
    path = tmp_path / "large.csv"
    words = "some words of a text that is as long as a short review is, " * 5
    with path.open("w") as file:
        file.write("text,label\n")
        for i in range(2_000_000):
            file.write(f'"{words}{i}",{i % 3}\n')
    assert path.stat().st_size > 550 * 2**20
    assert growth(READ_LARGE, path, tmp_path) < 512  # MiB
    assert len(list(tmp_path.glob("rows-*.arrow"))) == 1


@pytest.mark.slow
def test_memory_stays_flat_over_ten_million_generated_rows(tmp_path):
    assert growth(GENERATE_LARGE, 10_000_000, tmp_path) < 512  # MiB


def test_jsonl_and_lists_agree(tmp_path):
    path = tmp_path / "x.jsonl"
    path.write_text('{"t": "a", "n": [0.5, 2.0]}\n{"t": "b", "n": [1.0, 1.5]}\n')
    rows = read_jsonl(path, "t", "n")
    same = from_lists(["a", "b"], [[0.5, 2.0], [1.0, 1.5]])
    assert rows.fingerprint == same.fingerprint
    assert rows.label_array(()).tolist() == [[0.5, 2], [1, 1.5]]
    assert rows[1] == {"t": "b", "n": [1.0, 1.5]}
