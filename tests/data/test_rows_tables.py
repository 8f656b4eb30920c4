"""Typed tables: Parquet, pandas, Hugging Face and TensorFlow datasets."""

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from kerasft._errors import DataError
from kerasft.data.columnar import (
    from_datasets,
    from_pandas,
    read_parquet,
    read_tfds,
)
from kerasft.data.corpus import from_lists

datasets = pytest.importorskip("datasets")

TEXTS = [f"text {i}" for i in range(20)]
LABELS = [i % 3 for i in range(20)]
EXPECTED = from_lists(TEXTS, LABELS).fingerprint


def parquet(folder, name="x.parquet", **columns):
    pq.write_table(pa.table(columns), folder / name, row_group_size=7)
    return folder / name


def test_parquet_files_make_one_corpus_with_places(tmp_path):
    a = parquet(tmp_path, "a.parquet", t=TEXTS[:9], l=LABELS[:9], other=[0] * 9)
    b = parquet(tmp_path, "b.parquet", t=TEXTS[9:], l=LABELS[9:])
    rows = read_parquet([a, b], "t", "l")
    assert rows.fingerprint == EXPECTED and rows.labels == ("0", "1", "2")
    assert rows.where(9) == f"{b}[0]"
    assert rows[9] == {"t": "text 9", "l": "0"}


def test_bad_parquet_rows_are_refused_or_set_aside(tmp_path):
    path = parquet(tmp_path, t=["a", None, "c", "d"], l=[[0.5], [1.0], None, [np.nan]])
    with pytest.raises(
        DataError, match=r"3 bad rows, 1 good:\n.*parquet\[1\]: found not"
    ):
        read_parquet(path, "t", "l")
    rows = read_parquet(path, "t", "l", on_bad_rows="skip")
    assert rows.texts() == ["a"] and rows.rejected == 3
    assert (tmp_path / "rejected.csv").read_text().count("parquet,") == 3


def test_what_is_no_parquet_file_and_a_missing_column_are_named(tmp_path):
    (tmp_path / "x.parquet").write_text("text,label\n")
    with pytest.raises(DataError, match=r"Cannot read .*x.parquet as Parquet"):
        read_parquet(tmp_path / "x.parquet", "t")
    with pytest.raises(DataError, match=r"Cannot read .*none.parquet"):
        read_parquet(tmp_path / "none.parquet", "t")
    with pytest.raises(
        DataError, match="no column 'text' for text; the columns are 'txt'"
    ):
        read_parquet(parquet(tmp_path, txt=["a"]), "text")


def test_a_frame_gives_its_rows_whatever_its_index():
    frame = pd.DataFrame({"t": TEXTS, "l": LABELS}, index=range(100, 120))
    rows = from_pandas(frame, "t", "l")
    assert rows.fingerprint == EXPECTED
    assert rows.where(3) == "frame.iloc[3]"
    category = frame.assign(l=frame["l"].astype("category"))
    assert from_pandas(category, "t", "l").fingerprint == EXPECTED
    lists = frame.assign(l=[["a"], ["a", "b"]] * 10)
    assert from_pandas(lists, "t", "l").label_type == "names"
    arrays = frame.assign(l=[np.array([0.5, 1.5])] * 20)
    assert from_pandas(arrays, "t", "l").label_array(()).shape == (20, 2)


@pytest.mark.parametrize("missing", [None, np.nan, pd.NA, pd.NaT])
def test_a_missing_value_of_a_frame_is_a_bad_row(missing):
    labels = pd.Series(["x", missing], dtype=object)
    with pytest.raises(DataError, match=r"frame.iloc\[1\]: found no label"):
        from_pandas(pd.DataFrame({"t": ["a", "b"], "l": labels}), "t", "l")
    texts = pd.Series(["x", missing], dtype=object)
    with pytest.raises(
        DataError, match=r"frame.iloc\[1\]: found nothing in column 't'"
    ):
        from_pandas(pd.DataFrame({"t": texts}), "t")


def test_a_column_that_stands_twice_in_a_frame_is_refused():
    frame = pd.DataFrame([["a", "b", 1]], columns=["t", "t", "l"])
    with pytest.raises(DataError, match="found column 't' twice"):
        from_pandas(frame, "t", "l")


def test_class_ids_of_a_hugging_face_dataset_become_its_names():
    names = datasets.ClassLabel(names=["neg", "pos", "never"])
    features = datasets.Features(t=datasets.Value("string"), l=names)
    dataset = datasets.Dataset.from_dict({"t": ["a", "b"], "l": [1, 0]}, features)
    rows = from_datasets(dataset.with_format("numpy"), "t", "l")
    assert rows.labels == ("neg", "never", "pos")
    assert rows[0] == {"t": "a", "l": "pos"} and rows.where(0) == "dataset[0]"
    features["l"] = datasets.List(names)
    dataset = datasets.Dataset.from_dict({"t": ["a", "b"], "l": [[1, 2], []]}, features)
    rows = from_datasets(dataset, "t", "l")
    assert rows.label_array(rows.labels).tolist() == [[0, 1, 1], [0, 0, 0]]


def test_an_unlabelled_row_of_a_dataset_is_a_bad_row():
    names = datasets.ClassLabel(names=["neg", "pos"])
    features = datasets.Features(t=datasets.Value("string"), l=names)
    dataset = datasets.Dataset.from_dict({"t": ["a", "b"], "l": [1, -1]}, features)
    with pytest.raises(DataError, match=r"dataset\[1\]: found the class id -1"):
        from_datasets(dataset, "t", "l")


def test_plain_datasets_work_and_a_dict_of_splits_is_refused():
    dataset = datasets.Dataset.from_dict({"t": TEXTS, "l": LABELS})
    assert from_datasets(dataset, "t", "l").fingerprint == EXPECTED
    with pytest.raises(DataError, match="DatasetDict.*Pick a split"):
        from_datasets(datasets.DatasetDict(train=dataset), "t", "l")
    with pytest.raises(DataError, match="no column 'text'"):
        from_datasets(dataset, "text", "l")


@pytest.mark.filterwarnings("ignore")
def test_a_tensorflow_dataset_gives_text_and_class_names(tmp_path):
    tfds = pytest.importorskip("tensorflow_datasets")

    class TinyReviews(tfds.core.GeneratorBasedBuilder):
        """Three rows."""

        VERSION = tfds.core.Version("1.0.0")

        def _info(self):
            features = {
                "text": tfds.features.Text(),
                "label": tfds.features.ClassLabel(names=["neg", "pos"]),
                "stars": tfds.features.Scalar(np.float32),
            }
            features = tfds.features.FeaturesDict(features)
            return tfds.core.DatasetInfo(builder=self, features=features)

        def _split_generators(self, _):
            labelled, rest = [("é", "pos"), ("", "neg")], [("c", -1)]
            return {"train": self._rows(labelled), "test": self._rows(rest)}

        def _generate_examples(self):
            raise NotImplementedError

        def _rows(self, rows):
            for i, (text, label) in enumerate(rows):
                yield i, {"text": text, "label": label, "stars": i / 2}

    given = {"data_dir": str(tmp_path)}
    rows = read_tfds("tiny_reviews", "train", "text", "label", **given)
    assert {rows[i]["text"]: rows[i]["label"] for i in (0, 1)} == {
        "é": "pos",
        "": "neg",
    }
    rows = read_tfds("tiny_reviews", "train", "text", "stars", **given)
    assert sorted(rows.label_array(()).tolist()) == [0, 0.5]
    assert rows.where(0) == "tiny_reviews/train[0]"
    with pytest.raises(DataError, match="found the class id -1"):
        read_tfds("tiny_reviews", "test", "text", "label", **given)
    with pytest.raises(DataError, match="no column 'txt'.*Did you mean 'text'"):
        read_tfds("tiny_reviews", "train", "txt", **given)
    with pytest.raises(DataError, match="cannot load 'no_such_reviews'"):
        read_tfds("no_such_reviews", "train", "text", **given)
    with pytest.raises(DataError, match="split 'valid'"):
        read_tfds("tiny_reviews", "valid", "text", **given)
