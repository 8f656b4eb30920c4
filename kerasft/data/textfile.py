"""Decode a text file strictly, in blocks of whole lines.

The encoding is never guessed: bytes that do not decode stop the reading with their
offset, their line and the encoding they are likely in. A byte order mark is dropped.
Lines end with "\\n"; a "\\r" before it is left for the caller, because inside a quoted
CSV field it is content.
"""

import codecs
from collections.abc import Iterator
from pathlib import Path

from kerasft._errors import DataError

BLOCK_BYTES = 4 * 2**20
MAX_RECORD = 64 * 2**20  # characters of one row; more is an unclosed quote or no text

_MAGIC = {
    b"\x1f\x8b": "gzip data. Unpack it first (gunzip)",
    b"PK\x03\x04": "a zip archive (.xlsx is one). Unpack it, or save as CSV",
    b"BZh91AY&SY": "bzip2 data. Unpack it first (bunzip2)",
    b"\xfd7zXZ\x00": "xz data. Unpack it first (unxz)",
    b"\x28\xb5\x2f\xfd": "zstandard data. Unpack it first (unzstd)",
    b"PAR1\x15": "a Parquet file. Use read_parquet",
}
_WIDE_MARKS = {
    codecs.BOM_UTF32_LE: "utf-32",  # before UTF-16, whose mark it starts with
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
_NOT_IN_CP1252 = b"\x81\x8d\x8f\x90\x9d"


def read_blocks(path: Path | str, encoding: str = "utf-8") -> Iterator[str]:
    """Yield the text of `path` in blocks that end with a line end.

    A last line without a line end gets one.

    Raises:
        DataError: no such file or encoding, other bytes than the encoding allows, or
            a line longer than 64 Mi characters.
    """
    codec = _text_codec(encoding)
    held, line = [], 1
    for piece in _decoded(path, codec, encoding):
        cut = piece.rfind("\n") + 1
        if cut:
            block = "".join([*held, piece[:cut]])
            line += block.count("\n")
            yield block
            held = []
        held.append(piece[cut:])
        if sum(map(len, held)) > MAX_RECORD:
            raise DataError(
                f"{path}:{line}: found a line of more than {MAX_RECORD:,} characters, "
                "expected rows of text. Is this a text file with one row a line?"
            )
    if rest := "".join(held):
        yield rest + "\n"


def _text_codec(encoding):
    try:
        b"text".decode(encoding, "ignore")  # "hex" is a codec, but not of text
        return codecs.lookup(encoding)
    except LookupError as error:
        raise DataError(
            f"encoding={encoding!r} is not a text encoding that Python knows. "
            "Examples: 'utf-8', 'cp1252', 'utf-16', 'shift_jis'."
        ) from error


def _decoded(path, codec, encoding):
    """Yield decoded pieces of any length; the first has lost its byte order mark."""
    decoder = codec.incrementaldecoder("strict")
    offset, line, first = 0, 1, True
    for data in _pieces(path):
        if first:
            _raise_if_not_text(path, data, codec.name)
        start = offset - len(decoder.getstate()[0])
        try:
            text = decoder.decode(data, final=not data)
        except UnicodeDecodeError as error:
            before = error.object[: error.start].decode(encoding, "replace")
            line += before.count("\n")
            raise _wrong_bytes(path, error, start + error.start, line) from error
        except UnicodeError as error:  # UTF-16 and UTF-32 without a mark.
            raise DataError(
                f"{path}:1: byte 0: found no byte order mark, expected {codec.name} "
                f"with one ({error}). Pass encoding='{codec.name}-le' or '-be'."
            ) from error
        yield text.removeprefix("\ufeff") if first else text
        offset, line, first = offset + len(data), line + text.count("\n"), False


def _pieces(path):
    """Yield the bytes of the file, then b"" as the end."""
    try:
        with open(path, "rb") as file:
            while data := file.read(BLOCK_BYTES):
                yield data
            yield b""
    except OSError as error:
        raise DataError(
            f"Cannot read {path}: {error.strerror}. Expected a text file there."
        ) from error


def _raise_if_not_text(path, data, codec):
    for magic, what in _MAGIC.items():
        if data.startswith(magic):
            raise DataError(f"{path}:1: byte 0: found {what}.")
    if codec.startswith(("utf-16", "utf-32")):
        return
    wide = next(
        (name for mark, name in _WIDE_MARKS.items() if data.startswith(mark)), ""
    )
    if wide := wide or _wide_without_mark(data[:4096]):
        raise DataError(
            f"{path}:1: byte 0: found {wide.upper()} text, expected {codec}. "
            f"Pass encoding={wide!r}."
        )


def _wide_without_mark(data):
    """UTF-16 of mostly Latin text has a zero in every second byte."""
    even, odd = data[::2].count(0), data[1::2].count(0)
    enough = 0.3 * len(data) / 2
    if len(data) > 3 and max(even, odd) > enough and min(even, odd) < 0.1 * enough:
        return "utf-16-le" if odd > even else "utf-16-be"
    return ""


def _wrong_bytes(path, error, offset, line):
    data, at = error.object, error.start
    advice = "Pass the encoding the file was written in."
    if error.encoding == "utf-8":
        with open(path, "rb") as file:
            begin = max(0, offset - 100_000)
            file.seek(begin)
            advice = _advice(file.read(200_000), offset - begin)
    return DataError(
        f"{path}:{line}: byte {offset}: found {data[at : at + 4]!r}, expected "
        f"{error.encoding} text ({error.reason}). {advice}"
    )


def _advice(data, at):
    """What to do about bytes that are not UTF-8 from `at` on."""
    broken = data.decode("utf-8", "replace").count("\ufffd")
    sound = sum(letter > "\x7f" for letter in data.decode("utf-8", "ignore"))
    if data[at] in b"\xc0\xc1" and data[at + 1 : at + 2] > b"\x7f":
        return "Overlong UTF-8 is not valid: write the file again as UTF-8."
    if sound > broken:
        return "The file is UTF-8 but damaged here: write it again from its source."
    high = any(byte in _NOT_IN_CP1252 for byte in data[at:])
    likely = "latin-1" if high else "cp1252"
    return f"Likely {likely}: pass encoding={likely!r} if that is right."
