"""Plain text files as documents."""

import pytest

import kerasft as kft
from kerasft._errors import DataError, SettingsError

TEXT = "\n \nOne.\r\nTwo.\n\n\nThree.\n\t\nFour.\n  five\nsix"


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "books.txt"
    path.write_bytes(TEXT.encode())
    return path


def test_blank_lines_part_documents(path):
    rows = kft.read_documents(path)
    assert rows.texts() == ["One.\nTwo.", "Three.", "Four.\n  five\nsix"]
    places = [rows.where(i).rpartition(":")[2] for i in range(3)]
    assert places == ["3", "7", "9"]
    assert rows.label_type == "none" and rows[1] == {"text": "Three."}


def test_each_line_may_be_a_document(path):
    rows = kft.read_documents(path, "lines")
    assert rows.texts() == ["One.", "Two.", "Three.", "Four.", "  five", "six"]
    assert rows.where(5).endswith("books.txt:11")


def test_files_do_not_run_into_each_other(path):
    both = kft.read_documents([path, path])
    assert len(both) == 6 and both.texts()[2] == "Four.\n  five\nsix"
    assert both.where(3) == f"{path}:3"


def test_a_document_may_be_longer_than_what_is_read_at_once(path, monkeypatch):
    monkeypatch.setattr("kerasft.data.textfile.BLOCK_BYTES", 7)
    monkeypatch.setattr("kerasft.data.document_files.ROWS_PER_BLOCK", 2)
    assert kft.read_documents(path).texts() == [
        "One.\nTwo.",
        "Three.",
        "Four.\n  five\nsix",
    ]


def test_mistakes_are_told(path, tmp_path):
    with pytest.raises(SettingsError, match="blocks, lines"):
        kft.read_documents(path, "pages")
    (tmp_path / "empty.txt").write_text("\n\n")
    with pytest.raises(DataError):
        kft.read_documents(tmp_path / "empty.txt")
    (tmp_path / "old.txt").write_bytes("für".encode("latin-1"))
    with pytest.raises(DataError, match="old.txt:1"):
        kft.read_documents(tmp_path / "old.txt")
