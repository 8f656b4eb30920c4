"""JSON from anyone is read strictly and within bounds."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kerasft._errors import CheckpointError
from kerasft.checkpoints.json_files import parse_json, read_json, write_json


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"{",
        b'{"a": NaN}',
        b'{"a": -Infinity}',
        b'{"a": 1, "a": 2}',
        b'{"a": 1,}',
        b'\xff\xfe{"a": 1}',
        b'\xef\xbb\xbf{"a": 1}',
        b"[" * 100_000,
        b'{"a": ' + b"9" * 5_000 + b"}",
        b"{} {}",
    ],
)
def test_what_is_not_strict_json_is_refused_by_name(text, tmp_path):
    path = tmp_path / "config.json"
    path.write_bytes(text)
    with pytest.raises(CheckpointError, match="config.json"):
        read_json(path)


def test_a_file_past_the_limit_is_not_parsed(tmp_path):
    path = tmp_path / "config.json"
    path.write_text('"' + "a" * 100 + '"')
    with pytest.raises(CheckpointError, match="larger than 50 bytes"):
        read_json(path, limit=50)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(CheckpointError, match="config.json.*No such file"):
        read_json(tmp_path / "config.json")


def test_what_is_written_is_read(tmp_path):
    content = {"b": [1, 2.5, None], "a": {"x": "é"}}
    write_json(tmp_path / "config.json", content)
    assert read_json(tmp_path / "config.json") == content


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=60) | st.text(max_size=60).map(lambda text: text.encode()))
def test_any_bytes_give_json_or_one_kind_of_error(content):
    try:
        parsed = parse_json(content, "x")
    except CheckpointError:
        return
    assert json.dumps(parsed) is not None
