"""Encodings are never guessed: refused with offset, line and the likely one."""

import gzip

import pytest

from kerasft._errors import DataError
from kerasft.data import textfile
from kerasft.data.corpus import read_csv

TEXT = "text,label\nplain,1\ncafé – naïve,0\n日本,1\n"
WESTERN = "text,label\nplain,1\ncafé naïve,0\n"
UTF8 = TEXT.encode()
CUT = UTF8.index("ï".encode())
REFUSED = {
    "latin-1": (WESTERN.encode("latin-1"), "utf-8", 3, 22, "encoding='cp1252'"),
    "latin-1 controls": (b"text,label\n\x81\xe9,1\n", "utf-8", 2, 11, "'latin-1'"),
    "cp1252": ("text,label\n“a”,1\n".encode("cp1252"), "utf-8", 2, 11, "'cp1252'"),
    "utf-16 with mark": (TEXT.encode("utf-16"), "utf-8", 1, 0, "'utf-16'"),
    "utf-16-le": (WESTERN.encode("utf-16-le"), "utf-8", 1, 0, "'utf-16-le'"),
    "utf-16-be": (WESTERN.encode("utf-16-be"), "cp1252", 1, 0, "'utf-16-be'"),
    "utf-32": (TEXT.encode("utf-32"), "utf-8", 1, 0, "'utf-32'"),
    "overlong": (b"text,label\nplain \xc0\xaf,1\n", "utf-8", 2, 17, "Overlong"),
    "cut": (UTF8[: CUT + 1] + UTF8[CUT + 2 :], "utf-8", 3, CUT, "damaged here"),
    "cut at the end": (UTF8[:-4], "utf-8", 4, len(UTF8) - 6, "damaged here"),
    "gzip": (gzip.compress(UTF8), "utf-8", 1, 0, "gzip data"),
    "zip": (b"PK\x03\x04 workbook", "utf-8", 1, 0, "zip archive"),
    "half a character": (TEXT.encode("utf-16")[:-1], "utf-16", 4, None, "Pass the"),
    "not in the encoding": (b"text,label\n\x81,1\n", "cp1252", 2, 11, "Pass the"),
}


@pytest.mark.parametrize("kind", REFUSED)
@pytest.mark.parametrize("block", [10, 2**22])
def test_other_bytes_are_refused_with_offset_line_and_likely_encoding(
    tmp_path, monkeypatch, kind, block
):
    data, encoding, line, offset, likely = REFUSED[kind]
    monkeypatch.setattr(textfile, "BLOCK_BYTES", block)
    path = tmp_path / "x.csv"
    path.write_bytes(data)
    with pytest.raises(DataError) as error:
        read_csv(path, "text", "label", encoding=encoding)
    message = str(error.value)
    assert message.startswith(f"{path}:{line}: byte")
    assert offset is None or f": byte {offset}: " in message
    assert likely in message


@pytest.mark.parametrize(
    ("data", "encoding"),
    [
        (UTF8, "utf-8"),
        (b"\xef\xbb\xbf" + UTF8, "utf-8"),
        (b"\xef\xbb\xbf" + UTF8, "utf-8-sig"),
        (TEXT.encode("utf-16"), "utf-16"),
        (TEXT.encode("utf-16-le"), "utf-16-le"),
        (b"\xfe\xff" + TEXT.encode("utf-16-be"), "utf-16-be"),
        (TEXT.encode("utf-32"), "utf-32"),
        (TEXT.encode("gb18030"), "gb18030"),
    ],
)
@pytest.mark.parametrize("block", [5, 2**22])
def test_the_text_equals_the_source_bit_for_bit(
    tmp_path, monkeypatch, data, encoding, block
):
    monkeypatch.setattr(textfile, "BLOCK_BYTES", block)
    path = tmp_path / "x.csv"
    path.write_bytes(data)
    rows = read_csv(path, "text", "label", encoding=encoding)
    assert rows.texts() == ["plain", "café – naïve", "日本"]


def test_an_unknown_encoding_is_named(tmp_path):
    for encoding in ("utf8000", "hex"):
        with pytest.raises(DataError, match=f"encoding='{encoding}'"):
            read_csv(tmp_path / "x.csv", "text", encoding=encoding)


def test_a_line_without_end_is_refused_before_it_fills_memory(tmp_path, monkeypatch):
    monkeypatch.setattr(textfile, "BLOCK_BYTES", 100)
    monkeypatch.setattr(textfile, "MAX_RECORD", 1000)
    path = tmp_path / "x.csv"
    path.write_text("text\nok\n" + "x" * 2000)
    with pytest.raises(DataError, match=":3: found a line of more than 1,000"):
        read_csv(path, "text")
