"""Tensors come out as they went in; damaged and foreign files are refused by name."""

import io
import json
import pickle
import zipfile

import ml_dtypes
import numpy as np
import pytest
from numpy.testing import assert_array_equal
from safetensors.numpy import load_file, save_file

from kerasft._errors import CheckpointError
from kerasft.checkpoints.tensors import TensorReader, write_tensors

ARRAYS = {
    "a.weight": np.arange(6, dtype="float32").reshape(2, 3),
    "a.bias": np.array([0.5, -1, 2], "float32"),
    "b.weight": np.ones((4, 2), "float32"),
}


@pytest.fixture
def saved(tmp_path):
    write_tensors(tmp_path, ARRAYS.items())
    return tmp_path


def with_header(folder, header, data=b""):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path = folder / "model.safetensors"
    path.write_bytes(len(text).to_bytes(8, "little") + text + data)
    return folder


def test_what_is_written_is_read(saved):
    reader = TensorReader(saved)
    assert set(reader.keys()) == set(ARRAYS)
    for key, array in ARRAYS.items():
        assert reader.shape(key) == array.shape
        assert_array_equal(reader.read(key), array)


def test_a_transposed_view_is_written_as_it_looks(tmp_path):
    array = np.arange(6, dtype="float32").reshape(2, 3).T
    write_tensors(tmp_path, [("x", array)])
    assert_array_equal(load_file(tmp_path / "model.safetensors")["x"], array)


def test_files_are_for_all_the_umask_allows(saved):
    (saved / "plain").touch()
    mode = (saved / "plain").stat().st_mode
    assert (saved / "model.safetensors").stat().st_mode == mode


@pytest.mark.parametrize("limit", [1, 30, 40, 10_000])
def test_shards_hold_the_same_and_torch_names_them_so(tmp_path, limit):
    write_tensors(tmp_path, ARRAYS.items(), max_shard_bytes=limit)
    reader = TensorReader(tmp_path)
    for key, array in ARRAYS.items():
        assert_array_equal(reader.read(key), array)
    names = sorted(path.name for path in tmp_path.glob("*.safetensors"))
    count = len(names)
    if limit > 100:
        assert names == ["model.safetensors"]
    else:
        assert names == [
            f"model-{i + 1:05d}-of-{count:05d}.safetensors" for i in range(count)
        ]
        index = json.loads((tmp_path / "model.safetensors.index.json").read_text())
        assert index["metadata"] == {"total_parameters": 17, "total_size": 68}


@pytest.mark.parametrize("dtype", [np.float16, np.float64, ml_dtypes.bfloat16])
def test_every_float_comes_out_as_float32(tmp_path, dtype):
    array = np.array([1.5, -0.25, 3.0]).astype(dtype)
    save_file({"x": array}, tmp_path / "model.safetensors")
    read = TensorReader(tmp_path).read("x")
    assert read.dtype == np.float32
    assert_array_equal(read, array.astype("float32"))


def test_quantised_tensors_are_refused(tmp_path):
    save_file({"x": np.ones(3, "int8")}, tmp_path / "model.safetensors")
    with pytest.raises(CheckpointError, match="x is stored as I8"):
        TensorReader(tmp_path).read("x")


def test_nan_is_refused_with_its_key(tmp_path):
    save_file({"x": np.array([1, np.nan], "float32")}, tmp_path / "model.safetensors")
    with pytest.raises(CheckpointError, match="x holds NaN"):
        TensorReader(tmp_path).read("x")


def test_every_truncation_is_refused_by_name(saved):
    path = saved / "model.safetensors"
    whole = path.read_bytes()
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        with pytest.raises(CheckpointError, match="model.safetensors"):
            TensorReader(saved)
    path.write_bytes(whole + b"\0")
    with pytest.raises(CheckpointError, match="model.safetensors"):
        TensorReader(saved)


def test_a_flipped_header_bit_never_gives_another_error(saved):
    path = saved / "model.safetensors"
    whole = path.read_bytes()
    header = 8 + int.from_bytes(whole[:8], "little")
    for bit in range(0, 8 * header, 3):
        damaged = bytearray(whole)
        damaged[bit // 8] ^= 1 << bit % 8
        path.write_bytes(damaged)
        try:
            reader = TensorReader(saved)
            [reader.read(key) for key in reader.keys()]
        except CheckpointError:
            pass


FLAT = {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}


@pytest.mark.parametrize(
    "header, data",
    [
        (b"{" * 50_000, b""),
        (b'{"x": "\xff"}', b""),
        (b"[]", b""),
        ({"x": {**FLAT, "dtype": "F99"}}, b"0000"),
        ({"x": {**FLAT, "shape": [2]}}, b"0000"),
        ({"x": {**FLAT, "shape": [2**40, 2**40]}}, b"0000"),
        ({"x": FLAT, "y": FLAT}, b"0000"),
        ({"x": FLAT, "y": {**FLAT, "data_offsets": [5, 9]}}, b"000000000"),
        (
            b'{"x":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},'
            b'"x":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}',
            b"0000",
        ),
    ],
)
def test_a_header_that_lies_is_refused(tmp_path, header, data):
    with pytest.raises(CheckpointError, match="model.safetensors"):
        TensorReader(with_header(tmp_path, header, data))


def test_a_header_of_absurd_length_is_refused_unread(tmp_path):
    path = tmp_path / "model.safetensors"
    for length in (2**63, 100_000_001):
        path.write_bytes(length.to_bytes(8, "little") + b"{}")
        with pytest.raises(CheckpointError, match="damaged"):
            TensorReader(tmp_path)


def zip_bytes():
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("archive/data.pkl", "x")
    return buffer.getvalue()


@pytest.mark.parametrize(
    "content, kind",
    [
        (zip_bytes(), "zip archive"),
        (pickle.dumps({"a": 1}), "pickle"),
        (b"\x89HDF\r\n\x1a\n" + bytes(100), "HDF5"),
    ],
)
def test_a_foreign_file_is_known_by_its_content(tmp_path, content, kind):
    (tmp_path / "model.safetensors").write_bytes(content)
    with pytest.raises(CheckpointError, match=rf"(?s){kind}.*save_pretrained"):
        TensorReader(tmp_path)


@pytest.mark.parametrize(
    "name", ["pytorch_model.bin", "tf_model.h5", "model.keras", "model.pt", "w.pkl"]
)
def test_a_folder_of_pickles_is_refused_with_the_way_out(tmp_path, name):
    (tmp_path / name).write_bytes(b"x")
    with pytest.raises(CheckpointError, match=rf"(?s){name}.*save_pretrained"):
        TensorReader(tmp_path)


def test_an_empty_folder_says_what_was_looked_for(tmp_path):
    with pytest.raises(CheckpointError, match="no model.safetensors"):
        TensorReader(tmp_path)


def set_index(folder, shard_of):
    path = folder / "model.safetensors.index.json"
    path.write_text(json.dumps({"weight_map": shard_of}))


@pytest.mark.parametrize("name", ["../../x", "/etc/passwd", "a\0", "..", "hf://x", 3])
def test_an_index_names_files_of_its_own_folder(tmp_path, name):
    set_index(tmp_path, {"x": name})
    with pytest.raises(CheckpointError):
        TensorReader(tmp_path)


def test_an_index_that_does_not_fit_its_shards_is_refused(tmp_path):
    set_index(tmp_path, {"x": "model-00001-of-00001.safetensors"})
    with pytest.raises(CheckpointError, match="not in the folder"):
        TensorReader(tmp_path)
    save_file({"y": np.ones(1)}, tmp_path / "model-00001-of-00001.safetensors")
    with pytest.raises(CheckpointError, match="first x in model-00001"):
        TensorReader(tmp_path)


@pytest.mark.parametrize("text", ["[]", "{}", '{"weight_map": []}', "{"])
def test_an_index_without_a_map_is_refused(tmp_path, text):
    (tmp_path / "model.safetensors.index.json").write_text(text)
    with pytest.raises(CheckpointError, match="index.json"):
        TensorReader(tmp_path)


def test_adapters_have_a_stem_of_their_own(tmp_path):
    write_tensors(tmp_path, ARRAYS.items(), stem="adapter_model")
    assert (tmp_path / "adapter_model.safetensors").exists()
    assert set(TensorReader(tmp_path, stem="adapter_model").keys()) == set(ARRAYS)
