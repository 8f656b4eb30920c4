"""Names and layouts translate both ways, and what does not fit is found."""

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from kerasft._errors import CheckpointError
from kerasft.checkpoints import names

ROWS = (
    ("embedding", "m.embed"),
    ("block_{i}/proj", "m.layer.{i}.dense"),
    ("block_{i}/norm", "m.layer.{i}.LayerNorm"),
)
LAYERS = names.expand(ROWS, 2)


class Weight:
    """As much of a Keras variable as the engine uses."""

    def __init__(self, array):
        self.array = np.asarray(array)
        self.shape = self.array.shape

    def assign(self, array):
        assert array.shape == self.shape
        self.array = array

    def numpy(self):
        return self.array


class File(dict):
    """As much of a TensorReader as the engine uses."""

    def shape(self, key):
        return self[key].shape

    def read(self, key):
        return self[key]


@pytest.fixture
def weights():
    rng = np.random.default_rng(0)
    shapes = {"embedding/embeddings": (5, 3)}
    for i in range(2):
        shapes |= {f"block_{i}/proj/kernel": (3, 4), f"block_{i}/proj/bias": (4,)}
        shapes |= {f"block_{i}/norm/gamma": (3,), f"block_{i}/norm/beta": (3,)}
    return {path: Weight(rng.normal(size=shape)) for path, shape in shapes.items()}


def test_rows_expand_over_the_blocks():
    assert len(LAYERS) == 5
    assert LAYERS["block_1/proj"] == "m.layer.1.dense"


def test_kernels_are_stored_transposed_and_come_back(weights):
    file = File(names.named_arrays(weights, LAYERS))
    assert file["m.layer.0.dense.weight"].shape == (4, 3)
    assert set(file) >= {"m.embed.weight", "m.layer.1.LayerNorm.bias"}
    empty = {path: Weight(np.zeros(w.shape)) for path, w in weights.items()}
    found, missing, misshapen = names.match(empty, LAYERS, "m.", file)
    assert not missing and not misshapen
    names.assign(empty, found, file)
    for path, weight in weights.items():
        assert_array_equal(empty[path].array, weight.array)


@pytest.mark.parametrize(
    "spell",
    [
        lambda key: key.removeprefix("m."),
        lambda key: key.replace("Norm.weight", "Norm.gamma"),
        lambda key: key.replace("Norm.bias", "Norm.beta").removeprefix("m."),
    ],
)
def test_other_spellings_are_found(weights, spell):
    arrays = dict(names.named_arrays(weights, LAYERS))
    file = File({spell(key): array for key, array in arrays.items()})
    found, missing, _ = names.match(weights, LAYERS, "m.", file)
    assert set(found) == set(weights) and not missing
    assert not names.unexpected_keys(LAYERS, "m.", file, found.values())


def test_misfits_are_found(weights):
    file = File(names.named_arrays(weights, LAYERS))
    del file["m.embed.weight"]
    file["m.layer.0.dense.weight"] = np.zeros((3, 3))
    file["m.layer.2.dense.weight"] = file["head.weight"] = np.zeros(1)
    file["m.embed.position_ids"] = np.zeros(1)
    found, missing, misshapen = names.match(weights, LAYERS, "m.", file)
    assert missing == {"embedding/embeddings": "m.embed.weight"}
    assert len(misshapen) == 1 and "(3, 3), the model needs (4, 3)" in misshapen[0]
    unexpected = names.unexpected_keys(LAYERS, "m.", file, found.values())
    assert unexpected == ["m.layer.2.dense.weight"]
    with pytest.raises(CheckpointError, match=r"folder.*\n  one\n  two"):
        names.raise_misfits("folder", ["one", "two"])


@pytest.mark.parametrize("path", ["block_0/proj/lora_a", "block_0/other/kernel"])
def test_a_weight_in_no_row_is_not_dropped(path):
    with pytest.raises(CheckpointError, match=path):
        names.key_of(path, LAYERS)
