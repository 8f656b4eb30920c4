"""JSON lines: strict, and every fault is typed and named by line."""

import json
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kerasft._errors import DataError
from kerasft.data.corpus import read_jsonl
from kerasft.data.faults import BadValue
from kerasft.data.jsonl import parse_object

GOOD = b'{"text": "good", "label": "a"}\n'
FAULTS = {
    "truncated last line": (b'{"text": "cut', "a line that is cut off"),
    "trailing comma": (b'{"text": "a", "label": "a",}', "a trailing comma"),
    "array": (b'["a", "b"]', "a JSON array"),
    "string": (b'"a"', "a JSON string"),
    "nan": (b'{"text": "a", "label": NaN}', "NaN"),
    "infinity": (b'{"text": "a", "label": -Infinity}', "-Infinity"),
    "1e999": (b'{"text": "a", "label": 1e999}', "'1e999'"),
    "duplicate key": (b'{"text": "a", "label": "a", "text": "b"}', "'text' twice"),
    "surrogate": (b'{"text": "\\ud800", "label": "a"}', "half a surrogate pair"),
    "surrogate label": (b'{"text": "a", "label": "\\udfff"}', "half a surrogate pair"),
    "deep": (b'{"text": ' + b"[" * 100_000, "nested too deeply"),
    "digits": (b'{"text": "a", "label": ' + b"9" * 5000 + b"}", "5,000 digits"),
    "two objects": (GOOD.strip() * 2, "more after the object"),
    "no json": (b"text, label", "no JSON here"),
    "missing key": (b'{"txt": "a", "label": "a"}', "a key 'text'. Did you mean 'txt'"),
    "number as text": (b'{"text": 5, "label": "a"}', "5 in column 'text'"),
    "null text": (b'{"text": null, "label": "a"}', "nothing in column 'text'"),
    "null label": (b'{"text": "a", "label": null}', "no label"),
    "control": (b'{"text": "a\x00b", "label": "a"}', "no JSON here"),
}


@pytest.mark.parametrize("kind", FAULTS)
def test_every_kind_of_fault_is_named_by_line_and_can_be_skipped(tmp_path, kind):
    raw, found = FAULTS[kind]
    path = tmp_path / "x.jsonl"
    path.write_bytes(GOOD + raw + b"\n" + GOOD if kind[:3] != "tru" else GOOD * 2 + raw)
    line = 3 if kind[:3] == "tru" else 2
    with pytest.raises(DataError) as error:
        read_jsonl(path, "text", "label")
    assert str(error.value).startswith("1 bad row, 2 good:")
    assert f"{path}:{line}" in str(error.value) and found in str(error.value)
    rows = read_jsonl(path, "text", "label", on_bad_rows="skip")
    assert rows.texts() == ["good", "good"] and rows.rejected == 1


def test_a_byte_order_mark_crlf_blank_lines_and_a_long_line_are_legal(tmp_path):
    long = "x" * 2**20
    line = json.dumps({"text": long, "label": "a"}).encode()
    path = tmp_path / "x.jsonl"
    path.write_bytes(b"\xef\xbb\xbf" + GOOD.strip() + b"\r\n\r\n \t\n" + line)
    rows = read_jsonl(path, "text", "label")
    assert rows.texts() == ["good", long]
    assert rows.where(1) == f"{path}:4"


def test_a_line_costs_less_than_ten_times_its_size(tmp_path):
    path = tmp_path / "x.jsonl"
    path.write_bytes(json.dumps({"text": "x" * 2**23}).encode())
    tracemalloc.start()
    read_jsonl(path, "text")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 10 * 2**23


CELLS = st.text(max_size=9) | st.integers() | st.none()


@given(st.dictionaries(st.text(max_size=9), CELLS, max_size=4))
def test_what_json_writes_reads_back_identical(row):
    for escaped in (True, False):
        assert parse_object(json.dumps(row, ensure_ascii=escaped)) == row


@given(st.text(st.sampled_from('{}[]",:\\ud8e9-+.aN1 \x00'), max_size=40))
def test_any_line_is_an_object_or_a_bad_value(line):
    try:
        row = parse_object(line)
    except BadValue as error:
        assert error.found and error.expected
    else:
        assert row == json.loads(line)


@pytest.mark.parametrize(
    ("values", "kind", "labels"),
    [
        (["b", "a"], "name", ("a", "b")),
        ([10, 9], "name", ("9", "10")),
        ([True, False], "name", ("False", "True")),
        ([["a"], []], "names", ("a",)),
        ([[2], [1, 10]], "names", ("1", "2", "10")),
        ([0.5, 2.0], "number", ()),
        ([[0.5, 1], [2.5, 3.0]], "number", ()),
    ],
)
def test_the_kind_of_label_goes_by_the_values(tmp_path, values, kind, labels):
    path = tmp_path / "x.jsonl"
    lines = [json.dumps({"text": "a", "label": value}) for value in values]
    path.write_text("\n".join(lines))
    if kind == "number" and isinstance(values[0], list):
        with pytest.raises(DataError, match="Labels of several kinds"):
            read_jsonl(path, "text", "label")
        rows = read_jsonl(path, "text", "label", label_type="number")
    else:
        rows = read_jsonl(path, "text", "label")
    assert (rows.label_type, rows.labels) == (kind, labels)
