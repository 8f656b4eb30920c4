"""Labels: all faults before any model is built, with counts and first places."""

import random

import numpy as np
import pytest

from kerasft._errors import DataError, SettingsError
from kerasft.data.corpus import from_lists, read_csv

TEXTS = ["a", "b", "c"]


def csv_file(folder, *rows, header="text,label"):
    path = folder / "x.csv"
    path.write_text("\n".join([header, *rows]) + "\n")
    return path


@pytest.mark.parametrize("cell", ["", " ", "\t", "\u3000"])
def test_a_blank_label_is_a_bad_row(tmp_path, cell):
    path = csv_file(tmp_path, "a,1", f"b,{cell}", "c,0")
    with pytest.raises(DataError, match="x.csv:3: found the blank label"):
        read_csv(path, "text", "label")
    rows = read_csv(path, "text", "label", on_bad_rows="skip")
    assert (rows.texts(), rows.rejected) == (["a", "c"], 1)


def test_an_unknown_label_is_listed_with_its_count_and_first_place(tmp_path):
    rows = read_csv(
        csv_file(tmp_path, "a,pos", "b,ngo", "c,ngo", "d,new"), "text", "label"
    )
    with pytest.raises(DataError) as error:
        rows.label_array(("neg", "pos", "ngo2"))
    message = str(error.value)
    assert "2 labels are not among the model's 3 ('neg', 'pos', 'ngo2')" in message
    assert (
        "'ngo': 2 rows, first" in message and "x.csv:3. Did you mean 'ngo2'" in message
    )
    assert "'new': 1 rows" in message and "x.csv:5" in message


@pytest.mark.parametrize(
    "names", [("pos", "Pos"), ("pos", "pos "), ("1", "1.0"), ("Ａ", "ａ"), (" x", "x")]
)
def test_spelling_variants_of_a_label_are_an_error(names):
    with pytest.raises(DataError, match="differ only by case") as error:
        from_lists(["t"] * 4, ["other", names[0], names[1], names[1]])
    assert f"{names[0]!r} (1 rows, first texts[1])" in str(error.value)
    assert f"{names[1]!r} (2 rows, first texts[2])" in str(error.value)


@pytest.mark.parametrize(
    ("labels", "kinds"),
    [
        ([1, "1", 1], "whole number: 2, first 1 at .*; text: 1, first '1' at texts.1."),
        ([1, 1.0, 2], "whole number: 2.*number: 1, first 1.0 at texts.1."),
        ([1.5, 1, 2], "label_type='number'"),
        ([True, 1, 0], "true or false: 1"),
        (["a", ["a"], "b"], "text: 2.*list of text: 1"),
        ([["a"], [1], ["b"]], "list of text: 2.*list of whole number: 1"),
    ],
)
def test_labels_of_mixed_kinds_are_an_error_that_lists_them(labels, kinds):
    with pytest.raises(DataError, match=kinds):
        from_lists(TEXTS, labels)


def test_a_float_is_no_class():
    with pytest.raises(
        DataError, match=r"texts\[0\]: found the label 1.0, expected one"
    ):
        from_lists(TEXTS, [1.0, 2.0, 3.0], label_type="name")


def test_negative_ids_order_as_numbers_and_one_class_is_allowed():
    assert from_lists(TEXTS, [1, -1, 0]).labels == ("-1", "0", "1")
    assert from_lists(TEXTS, ["x"] * 3).labels == ("x",)
    assert from_lists(TEXTS, [10, 9, 100]).labels == ("9", "10", "100")
    assert from_lists(TEXTS, ["10", "9", "x"]).labels == ("10", "9", "x")


def test_ten_thousand_classes_map_and_the_order_is_that_of_the_names():
    names = [str(i) for i in range(10_001)]
    shuffled = random.Random(0).sample(names, len(names))
    rows = from_lists(shuffled, shuffled)
    assert rows.labels == tuple(names)
    assert rows.label_array(rows.labels).tolist() == [int(n) for n in shuffled]


def test_a_label_that_some_part_lacks_is_still_a_label_of_it():
    part = from_lists(TEXTS, ["x", "y", "z"]).select([0, 2])
    assert part.labels == ("x", "y", "z")
    assert part.label_counts == {"x": 1, "y": 0, "z": 1}
    assert part.label_array(part.labels).tolist() == [0, 2]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([1.0, float("nan"), 2.0], r"texts\[1\]: found the label nan"),
        ([1.0, float("-inf"), 2.0], "expected a finite number"),
        ([1.0, None, 2.0], "found no label"),
        ([1.0, "2", 2.0], "found the label '2', expected a number"),
        ([1.0, True, 2.0], "found the label True"),
        (
            [[1.0, 2.0], [1.0], [2.0, 1.0]],
            "found 1 numbers, expected 2 as in the first",
        ),
        ([1.0, [1.0], 2.0], "expected a single number as in the first"),
        ([[1.0, 2.0], [], [2.0, 1.0]], "found no label"),
        ([1.0, 10**400, 2.0], "expected a finite number"),
    ],
)
def test_what_is_no_number_is_a_bad_row(values, message):
    with pytest.raises(DataError, match=f"1 bad row, 2 good:\n.*{message}"):
        from_lists(TEXTS, values, label_type="number")


@pytest.mark.parametrize("cell", ["nan", "inf", "1_0", "0x1", "one", '"1,5"', "1e999"])
def test_a_csv_cell_that_is_no_finite_number_is_a_bad_row(tmp_path, cell):
    path = csv_file(tmp_path, "a,1.5", f"b,{cell}", "c, -2e1")
    with pytest.raises(DataError, match="x.csv:3: .*expected a finite number"):
        read_csv(path, "text", "label", label_type="number")
    rows = read_csv(path, "text", "label", label_type="number", on_bad_rows="skip")
    array = rows.label_array(())
    assert array.dtype == np.float32 and array.tolist() == [1.5, -20]


def test_several_names_split_at_the_separator_give_a_multi_hot_array(tmp_path):
    path = csv_file(tmp_path, "a,x|y", "b,", "c,z")
    rows = read_csv(path, "text", "label", label_separator="|")
    assert (rows.label_type, rows.labels) == ("names", ("x", "y", "z"))
    assert rows[0] == {"text": "a", "label": ["x", "y"]}
    expected = [[1, 1, 0], [0, 0, 0], [0, 0, 1]]
    assert rows.label_array(rows.labels).tolist() == expected
    assert rows.select([2, 0, 2]).label_array("zyx").tolist() == [
        [1, 0, 0],
        [0, 1, 1],
        [1, 0, 0],
    ]
    with pytest.raises(DataError, match="'z': 1 rows, first .*x.csv:4"):
        rows.label_array(("x", "y"))


@pytest.mark.parametrize("cell", [" ", "x||y", "x|x", "x| "])
def test_blank_or_repeated_names_are_a_bad_row(tmp_path, cell):
    path = csv_file(tmp_path, "a,x|y", f"b,{cell}")
    with pytest.raises(DataError, match="1 bad row, 1 good"):
        read_csv(path, "text", "label", label_separator="|")


def test_several_columns_are_names_or_numbers(tmp_path):
    path = csv_file(tmp_path, "a,0,1", "b,0,0", header="text,toxic,rude")
    rows = read_csv(path, "text", ["toxic", "rude"], label_type="names")
    assert rows.labels == ("rude", "toxic")
    assert rows.label_array(rows.labels).tolist() == [[1, 0], [0, 0]]
    assert rows[0] == {"text": "a", "toxic": 0, "rude": 1}
    rows = read_csv(path, "text", ["toxic", "rude"], label_type="number")
    assert rows.label_array(()).tolist() == [[0, 1], [0, 0]]
    assert rows[0] == {"text": "a", "toxic": 0.0, "rude": 1.0}
    with pytest.raises(SettingsError, match="pass label_type"):
        read_csv(path, "text", ["toxic", "rude"])
    path = csv_file(tmp_path, "a,0,2", "b,0,0", header="text,toxic,rude")
    with pytest.raises(DataError, match="found '2' in column 'rude', expected 0 or 1"):
        read_csv(path, "text", ["toxic", "rude"], label_type="names")


@pytest.mark.parametrize(
    "given",
    [
        {"label": "label", "label_type": "class"},
        {"label_type": "name"},
        {"label": "label", "label_separator": ""},
        {"label": "label", "label_separator": "|", "label_type": "name"},
        {"label": "text"},
        {"label": "label", "on_bad_rows": "ignore"},
    ],
)
def test_a_setting_that_makes_no_sense_is_refused(tmp_path, given):
    with pytest.raises(SettingsError):
        read_csv(csv_file(tmp_path, "a,1"), "text", **given)


def test_rows_without_labels_say_so():
    rows = from_lists(TEXTS)
    assert (rows.label_type, rows.labels, rows.label_counts) == ("none", (), {})
    with pytest.raises(DataError, match="have no labels"):
        rows.label_array(("a",))
    with pytest.raises(DataError, match="stands twice"):
        from_lists(TEXTS, TEXTS).label_array(("a", "b", "c", "a"))
