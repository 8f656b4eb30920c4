"""Vectors for the Projector tab, read by TensorBoard's own plugin."""

import json

import numpy as np
import pytest
from tensorboard.backend.event_processing import data_provider, plugin_event_multiplexer
from tensorboard.plugins import base_plugin
from tensorboard.plugins.projector import projector_plugin
from werkzeug import test as werkzeug_test
from werkzeug import wrappers

import kerasft as kft
from kerasft._errors import DataError

VECTORS = np.random.default_rng(0).normal(size=(4, 3)).astype("float32")
TEXTS = ["good", "a\tfilm\nof two lines", "", "x" * 400]


def served(folder, route, **query):
    """What the tab gets: the plugin's own answer."""
    multiplexer = plugin_event_multiplexer.EventMultiplexer()
    multiplexer.AddRunsFromDirectory(str(folder))
    multiplexer.Reload()
    context = base_plugin.TBContext(
        logdir=str(folder),
        data_provider=data_provider.MultiplexerDataProvider(multiplexer, str(folder)),
    )
    apps = projector_plugin.ProjectorPlugin(context).get_plugin_apps()
    client = werkzeug_test.Client(apps[route], wrappers.Response)
    answer = client.get(route, query_string={"run": ".", **query})
    assert answer.status_code == 200, answer.get_data()
    return answer.get_data()


def test_the_plugin_reads_what_is_written(tmp_path):
    metadata = {"text": TEXTS, "label": [0, 1, 0, 1]}
    assert kft.write_projector(tmp_path, VECTORS, metadata) == tmp_path
    config = json.loads(served(tmp_path, "/info"))
    assert [e["tensorName"] for e in config["embeddings"]] == ["vectors"]
    assert config["embeddings"][0]["tensorShape"] == [4, 3]
    tensor = np.frombuffer(served(tmp_path, "/tensor", name="vectors"), "float32")
    np.testing.assert_array_equal(tensor.reshape(4, 3), VECTORS)
    lines = served(tmp_path, "/metadata", name="vectors").decode().splitlines()
    assert lines == [
        "text\tlabel",
        "good\t0",
        "a film of two lines\t1",
        "(empty)\t0",
        "x" * 299 + "…\t1",
    ]


def test_one_column_has_no_header(tmp_path):
    kft.write_projector(tmp_path, VECTORS, TEXTS)
    lines = served(tmp_path, "/metadata", name="vectors").decode().splitlines()
    assert lines[:3] == ["good", "a film of two lines", "(empty)"]
    assert len(lines) == 4


def test_several_names_stand_side_by_side_and_the_same_is_replaced(tmp_path):
    for _ in range(2):
        kft.write_projector(tmp_path, VECTORS, TEXTS, name="before")
    kft.write_projector(tmp_path, 2 * VECTORS, TEXTS, name="after")
    config = json.loads(served(tmp_path, "/info"))
    assert [e["tensorName"] for e in config["embeddings"]] == ["before", "after"]
    tensor = np.frombuffer(served(tmp_path, "/tensor", name="after"), "float32")
    np.testing.assert_array_equal(tensor.reshape(4, 3), 2 * VECTORS)


@pytest.mark.parametrize(
    "vectors, metadata, name, words",
    [
        (VECTORS, TEXTS[:3], "v", "4 vectors but 3 metadata"),
        (VECTORS, {"a": TEXTS, "b": [1]}, "v", "4 a, 1 b metadata"),
        (VECTORS, {}, "v", "no metadata"),
        (VECTORS[0], TEXTS, "v", r"shape \(3,\)"),
        (VECTORS * np.nan, TEXTS, "v", "not finite"),
        (VECTORS, TEXTS, "../v", "no plain file name"),
    ],
)
def test_what_does_not_fit_is_refused(vectors, metadata, name, words, tmp_path):
    with pytest.raises(DataError, match=words):
        kft.write_projector(tmp_path / "logs", vectors, metadata, name)
    assert not (tmp_path / "logs").exists()
