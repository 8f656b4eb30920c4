"""Delimited text: what is legal reads back identical, what is not is named by line."""

import csv
import io
import random
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kerasft._errors import DataError
from kerasft.data.corpus import read_csv, read_tsv
from kerasft.data.delimited import DelimitedText

CELL = st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="\0")
    | st.sampled_from('",;\n\r\t a'),
    max_size=12,
)
TABLES = st.integers(1, 4).flatmap(
    lambda width: st.lists(
        st.lists(CELL, min_size=width, max_size=width), min_size=1, max_size=12
    )
)


def parsed(text, delimiter=",", line_by_line=False):
    """Header, rows, their raw text and the faults of `text`."""
    lines = re.findall("[^\n]*\n", text if text.endswith("\n") else text + "\n")
    blocks = lines if line_by_line else ["".join(lines)]
    reader = DelimitedText("x.csv", blocks, delimiter)
    parts = list(reader)
    return (
        reader.header,
        [row for part in parts for row in part.fields],
        [raw for part in parts for raw in part.raws],
        [fault for part in parts for fault in part.faults],
    )


@given(TABLES, st.sampled_from(",;\t|"), st.sampled_from(["\n", "\r\n"]), st.booleans())
def test_what_the_csv_module_writes_reads_back_identical(table, delimiter, end, small):
    table = [[f"h{i}" for i in range(len(table[0]))], *table]
    # Not QUOTE_MINIMAL with "\n": Python 3.11 leaves a bare "\r" unquoted then.
    quotings = [csv.QUOTE_ALL] + [csv.QUOTE_MINIMAL] * (end == "\r\n")
    for quoting in quotings:
        file = io.StringIO()
        writer = csv.writer(
            file, delimiter=delimiter, quoting=quoting, lineterminator=end
        )
        writer.writerows(table)
        header, rows, _, faults = parsed(file.getvalue(), delimiter, small)
        assert not faults
        assert [header, *rows] == table


@given(st.text(st.sampled_from('",\n\r\0a1'), max_size=60), st.booleans())
def test_every_line_of_any_text_is_in_a_row_or_in_a_fault(text, small):
    _, rows, raws, faults = parsed("t,l\n" + text, ",", small)
    assert all(len(row) == 2 for row in rows)
    told = "\n".join([*raws, *(fault.raw for fault in faults)])
    assert sorted(full_lines(told)) == sorted(full_lines(text))


def full_lines(text):
    return [line for line in text.replace("\r", "").split("\n") if line]


def faulty_file(seed, rows=1000, faults=60):
    """CSV text with seeded faults, the line of each, and the good rows."""
    rng = random.Random(seed)
    kinds = {
        "short": lambda n: f"only {n}",
        "long": lambda n: f"text {n},1,2",
        "unclosed": lambda n: f'"text {n},1',
        "stray": lambda n: f'te"xt {n},1',
        "after": lambda n: f'"te"xt {n},1',
        "return": lambda n: f"te\rxt {n},1",
        "nul": lambda n: f"te\0xt {n},1",
        "blank label": lambda n: f"text {n}, ",
    }
    good_kinds = [
        lambda n: (f"plain {n},{n % 3}", f"plain {n}"),
        lambda n: (f'"quoted, {n}",{n % 3}', f"quoted, {n}"),
        lambda n: (f'"two\nlines, {n}",{n % 3}', f"two\nlines, {n}"),
        lambda n: (f'"a ""word"" {n}","{n % 3}"', f'a "word" {n}'),
    ]
    bad = set(rng.sample(range(rows), faults))
    lines, wanted, good, line = ["text,label"], [], [], 2
    for n in range(rows):
        if n in bad:
            kind = list(kinds)[n % len(kinds)]
            raw = kinds[kind](n)
            wanted.append(line)
        else:
            raw, text = rng.choice(good_kinds)(n)
            good.append(text)
        lines.append(raw)
        line += raw.count("\n") + 1
    ends = [rng.choice(["\n", "\r\n"]) for _ in lines]
    text = "".join(a + b for a, b in zip(lines, ends, strict=True))
    return text, wanted, good


@pytest.mark.parametrize("seed", range(10))
def test_sixty_faults_in_a_thousand_rows_are_all_found_and_the_rest_kept(
    tmp_path, seed
):
    text, wanted, good = faulty_file(seed)
    path = tmp_path / "reviews.csv"
    path.write_bytes(text.encode())
    rows = read_csv(path, "text", "label", on_bad_rows="skip")
    assert rows.rejected == 60
    assert rows.texts() == good and len(good) == 940
    listed = io.StringIO((tmp_path / "rejected.csv").read_bytes().decode(), newline="")
    rejected = list(csv.DictReader(listed))
    assert [int(row["line"]) for row in rejected] == wanted
    assert {row["file"] for row in rejected} == {str(path)}


def test_bad_rows_stop_the_reading_and_are_listed_together(tmp_path):
    path = tmp_path / "reviews.csv"
    path.write_bytes(faulty_file(1)[0].encode())
    with pytest.raises(DataError) as error:
        read_csv(path, "text", "label")
    message = str(error.value)
    assert message.startswith("60 bad rows, 940 good:")
    assert message.count(f"{path}:") == 20
    assert "and 40 more" in message and 'on_bad_rows to "skip"' in message
    assert not (tmp_path / "rejected.csv").exists()


def test_an_unclosed_quote_is_reported_where_it_opens(tmp_path):
    path = tmp_path / "x.csv"
    path.write_text('text,label\ngood,1\nfine,"0\nalso,1\n"quoted",0\nlast,1\n')
    with pytest.raises(
        DataError, match=r"x\.csv:3:6: found a quote that is not closed"
    ):
        read_csv(path, "text", "label")
    rows = read_csv(path, "text", "label", on_bad_rows="skip")
    assert rows.texts() == ["good", "also", "quoted", "last"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "found an empty file"),
        ("\n\r\n", "found an empty file"),
        ("text,label\n", "found no rows"),
        ("text,label,text\na,1,b\n", "found column 'text' twice"),
        (
            "txt,label\na,1\n",
            r"no column 'text' for text; the columns are 'txt', 'label'.*'txt'\?",
        ),
        ("text;label\na;1\n", r"'text;label': pass delimiter=';'"),
        ("text\tlabel\na\t1\n", r"pass delimiter='\\t'"),
        ('te"xt,label\na,1\n', ":1:3: the header line: found a quote"),
        (
            '"text,label\na,1\n',
            ":1:1: the header line: found a quote that is not closed",
        ),
    ],
)
def test_a_file_that_does_not_fit_says_what_is_wrong(tmp_path, text, message):
    path = tmp_path / "x.csv"
    path.write_bytes(text.encode())
    with pytest.raises(DataError, match=message):
        read_csv(path, "text", "label")


def test_huge_fields_a_byte_order_mark_and_mixed_line_ends_are_legal(tmp_path):
    long = "x" * 200_000
    path = tmp_path / "x.csv"
    path.write_bytes(
        f'\ufefftext,label\r\n{long},1\n\n"{long}\n""",0\r\nend,1'.encode()
    )
    rows = read_csv(path, "text", "label")
    assert rows.texts() == [long, f'{long}\n"', "end"]
    assert [rows.where(i).rpartition(":")[2] for i in range(3)] == ["2", "4", "6"]


def test_several_files_make_one_corpus_and_where_names_the_file(tmp_path):
    for name in ("a.tsv", "b.tsv"):
        (tmp_path / name).write_text(f"text\tlabel\n{name}, one\tx\n{name} two\ty\n")
    rows = read_tsv([tmp_path / "a.tsv", tmp_path / "b.tsv"], "text", "label")
    assert len(rows) == 4
    assert rows.where(3) == f"{tmp_path / 'b.tsv'}:3"
    assert rows[2] == {"text": "b.tsv, one", "label": "x"}


def test_rejected_rows_of_another_file_stay_listed(tmp_path):
    for name in ("a.csv", "b.csv"):
        (tmp_path / name).write_bytes(b"text,label\ngood,1\nbad\0,1\n")
        for _ in range(2):
            rows = read_csv(tmp_path / name, "text", "label", on_bad_rows="skip")
            assert rows.rejected == 1
    listed = (tmp_path / "rejected.csv").read_text()
    assert listed.count("a.csv,3,") == listed.count("b.csv,3,") == 1
    assert "bad\u2400,1" in listed
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        "a.csv",
        "b.csv",
        "rejected.csv",
    ]


def test_a_file_of_the_user_called_rejected_is_not_overwritten(tmp_path):
    (tmp_path / "rejected.csv").write_text("text,label\nmine,1\n")
    (tmp_path / "a.csv").write_text("text,label\ngood,1\nbad\n")
    with pytest.raises(DataError, match="Rename it"):
        read_csv(tmp_path / "a.csv", "text", "label", on_bad_rows="skip")
    assert (tmp_path / "rejected.csv").read_text() == "text,label\nmine,1\n"


def test_a_folder_that_cannot_be_written_is_named(tmp_path, monkeypatch):
    (tmp_path / "a.csv").write_text("text,label\ngood,1\nbad\n")
    real = open

    def refuse(path, mode="r", **options):
        if "w" in mode:
            raise PermissionError(13, "Permission denied")
        return real(path, mode, **options)

    monkeypatch.setattr("builtins.open", refuse)
    with pytest.raises(DataError, match="rejected.csv: Permission denied"):
        read_csv(tmp_path / "a.csv", "text", "label", on_bad_rows="skip")


def test_no_file_and_a_wrong_setting_are_named(tmp_path):
    with pytest.raises(DataError, match="none.csv: No such file"):
        read_csv(tmp_path / "none.csv", "text")
    with pytest.raises(DataError, match="Is a directory"):
        read_csv(tmp_path, "text")
    with pytest.raises(DataError, match="expected at least one file"):
        read_csv([], "text")
    (tmp_path / "a.csv").write_text("text\na\n")
    with pytest.raises(DataError, match="one character"):
        read_csv(tmp_path / "a.csv", "text", delimiter=", ")
