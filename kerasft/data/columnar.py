"""Read text rows from Parquet, pandas, Hugging Face and TensorFlow datasets.

All are read in blocks, so memory stays flat. Class ids become the names that the data
set declares for them; an id outside those (-1 marks unlabelled rows) is a bad row.
TensorFlow Datasets is imported only when it is used.
"""

from collections.abc import Sequence
from itertools import islice

import pyarrow as pa
import pyarrow.parquet as pq

from kerasft._errors import DataError
from kerasft.data.faults import BadValue, Source
from kerasft.data.intake import (
    ROWS_PER_BLOCK,
    Block,
    Columns,
    Paths,
    files,
    gather,
    in_blocks,
)
from kerasft.data.rows import Rows


def read_parquet(  # noqa: PLR0913 - as read_csv
    path: Paths,
    text: str,
    label: str | Sequence[str] | None = None,
    text_pair: str | None = None,
    *,
    label_type: str | None = None,
    on_bad_rows: str = "error",
    label_separator: str | None = None,
    negative: str | None = None,
) -> Rows:
    """Read Parquet files; only the named columns are read.

    Rows count from 0: `reviews.parquet[11]`. Arguments are those of `read_jsonl`.

    Raises:
        DataError: not a Parquet file, a missing column, bad rows.
    """
    columns = Columns(
        text, label, text_pair, label_type, label_separator, negative=negative
    )
    sources = tuple(Source(file, indexed=True) for file in files(path))
    return gather(_parquet_blocks(sources, columns), columns, sources, on_bad_rows)


def from_pandas(
    frame,
    text: str,
    label: str | Sequence[str] | None = None,
    text_pair: str | None = None,
    *,
    label_type: str | None = None,
    negative: str | None = None,
) -> Rows:
    """Rows from a pandas `DataFrame`, numbered by position: `frame.iloc[11]`.

    A missing value (None, NaN, NA) is a bad row. `label_type` as in `read_jsonl`.

    Raises:
        DataError: a missing column or bad rows.
    """
    columns = Columns(text, label, text_pair, label_type, negative=negative)
    columns.raise_if_missing([str(name) for name in frame.columns], "frame")
    blocks = in_blocks(
        len(frame), lambda part: _frame_values(frame[part], columns.names)
    )
    return gather(blocks, columns, (Source("frame.iloc", indexed=True),))


def from_datasets(
    dataset,
    text: str,
    label: str | Sequence[str] | None = None,
    text_pair: str | None = None,
    *,
    label_type: str | None = None,
    negative: str | None = None,
) -> Rows:
    """Rows from a Hugging Face `datasets.Dataset`: one split, not a `DatasetDict`.

    Raises:
        DataError: a missing column, a dict of splits, or bad rows.
    """
    import datasets

    if not isinstance(dataset, datasets.Dataset):
        raise DataError(
            f"from_datasets got a {type(dataset).__name__}, expected a "
            "datasets.Dataset. Pick a split: dataset['train']."
        )
    columns = Columns(text, label, text_pair, label_type, negative=negative)
    columns.raise_if_missing(dataset.column_names, "dataset")
    dataset = dataset.select_columns(list(columns.names)).with_format(None)
    declared = {
        name: feature.names
        for name in columns.label_columns
        for feature in [_of_items(dataset.features[name], datasets)]
        if isinstance(feature, datasets.ClassLabel)
    }
    blocks = in_blocks(len(dataset), lambda part: _with_names(dataset[part], declared))
    names = [name for names in declared.values() for name in names]
    return gather(blocks, columns, (Source("dataset", indexed=True),), names=names)


def read_tfds(  # noqa: PLR0913 - as read_csv
    name: str,
    split: str,
    text: str,
    label: str | Sequence[str] | None = None,
    text_pair: str | None = None,
    *,
    label_type: str | None = None,
    data_dir: str | None = None,
    negative: str | None = None,
) -> Rows:
    """Read a split of TensorFlow Datasets, downloading it if it is not there.

    Args:
        name: as `tfds.load` takes it: "imdb_reviews", "glue/sst2:2.0.0".
        split: "train", "train[:10%]".
        text: the feature of the text.
        label: the feature of the label, or several.
        text_pair: the feature of a second text.
        label_type: as in `read_jsonl`.
        data_dir: where data sets lie; default is TFDS' own.
        negative: the feature of a third text, which does not belong to the first.

    Raises:
        DataError: no such data set, split or feature, or bad rows.
    """
    import tensorflow_datasets as tfds

    columns = Columns(text, label, text_pair, label_type, negative=negative)
    try:
        rows, info = tfds.load(name, split=split, data_dir=data_dir, with_info=True)
    except (tfds.core.DatasetNotFoundError, ValueError) as error:
        raise DataError(
            f"TensorFlow Datasets cannot load {name!r}, split {split!r}: {error}"
        ) from error
    where = f"{name}/{split}"
    columns.raise_if_missing(list(info.features), where)
    features = {name: info.features[name] for name in columns.label_columns}
    declared = {
        name: feature.names
        for name, feature in features.items()
        if isinstance(feature, tfds.features.ClassLabel)
    }
    blocks = _tfds_blocks(tfds.as_numpy(rows), columns.names, declared)
    names = [name for names in declared.values() for name in names]
    return gather(blocks, columns, (Source(where, indexed=True),), names=names)


def _parquet_blocks(sources, columns):
    for number, source in enumerate(sources):
        try:
            with pq.ParquetFile(source.name) as file:
                columns.raise_if_missing(file.schema_arrow.names, source.name)
                start = 0
                for batch in file.iter_batches(ROWS_PER_BLOCK, columns=columns.names):
                    lines = range(start, start + batch.num_rows)
                    start = lines.stop
                    yield Block(number, lines, batch.to_pydict())
        except (pa.ArrowInvalid, OSError) as error:
            raise DataError(f"Cannot read {source.name} as Parquet: {error}") from error


def _frame_values(frame, names):
    """Python values, None where pandas says a value is missing."""
    present = {name: frame[name].notna() for name in names}
    return {
        name: frame[name].astype(object).where(present[name], None).tolist()
        for name in names
    }


def _of_items(feature, datasets):
    """The feature of the items, where a row has a list of them."""
    while isinstance(feature, datasets.List | datasets.LargeList):
        feature = feature.feature
    return feature


def _with_names(values, declared):
    """`values` with the declared names for class ids."""
    return values | {
        column: [_name_of(value, names) for value in values[column]]
        for column, names in declared.items()
    }


def _name_of(value, names):
    """The name of a class id; for an id without a name, the fault to report."""
    if isinstance(value, list):
        return [_name_of(item, names) for item in value]
    if value is None or 0 <= value < len(names):
        return value if value is None else names[value]
    fix = "Leave unlabelled rows out." if value == -1 else ""
    return BadValue(f"the class id {value}", f"0 to {len(names) - 1}", fix)


def _tfds_blocks(rows, names, declared):
    start, rows = 0, iter(rows)
    while batch := list(islice(rows, ROWS_PER_BLOCK)):
        values = {name: [_decoded(row[name]) for row in batch] for name in names}
        lines = range(start, start + len(batch))
        start = lines.stop
        yield Block(0, lines, _with_names(values, declared))


def _decoded(value):
    """TFDS gives text as bytes, the rest as NumPy values."""
    if isinstance(value, bytes):
        return value.decode()
    value = value.tolist()
    return [_decoded(item) for item in value] if isinstance(value, list) else value
