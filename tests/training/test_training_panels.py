"""The panels beside the curves show what the task and the data are."""

import ast
import subprocess
import sys

import keras
import numpy as np
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.util.tensor_util import make_ndarray
from tiny_tasks import LABELS, tiny_rows

import kerasft as kft
from kerasft._errors import SettingsError
from kerasft.training import panels
from kerasft.training.step_profile import StepProfile
from kerasft.training.summaries import counts_by_bin

NORMAL = np.random.default_rng(0).normal(size=1000)


def read(folder):
    events = EventAccumulator(str(folder), size_guidance={"tensors": 0}).Reload()
    return {
        tag: {e.step: make_ndarray(e.tensor_proto) for e in events.Tensors(tag)}
        for tag in events.Tags()["tensors"]
    }


@pytest.fixture(scope="module")
def fitted(tiny_bert, tmp_path_factory):
    """A task after two epochs of three steps, and the folder of its logs."""
    tmp_path = tmp_path_factory.mktemp("panels")
    task = kft.TextClassifier.from_pretrained(tiny_bert, labels=LABELS)
    task.compile(optimizer=kft.adamw(1e-3))
    board = kft.TensorBoard(
        tmp_path,
        update_freq=2,
        validation=tiny_rows(12, seed=1),
        recipe="epochs: 2\n<b>: 3",
        histograms=True,
        profile=(2, 3),
    )
    data = task.dataset(tiny_rows(24), 8, training=True, max_shapes=1)
    task.fit(data, epochs=2, callbacks=[board], verbose=0)
    return task, tmp_path


def test_recipe_norms_memory_lengths_and_histograms_are_written(fitted):
    task, folder = fitted
    run = read(folder / "train")
    norm = np.sqrt(sum((np.array(w) ** 2).sum() for w in task.trainable_variables))
    np.testing.assert_allclose(run["epoch/weight_norm"][2], norm, rtol=1e-5)
    peaks = list(run["memory/host_peak_gib"].values())
    assert 0.1 < peaks[0] <= peaks[-1] < 100
    width, _, png = run["data/lengths"][0]
    assert png.startswith(b"\x89PNG")
    histograms = [tag for tag in run if tag.startswith("weights/")]
    assert len(histograms) == len(task.trainable_variables)
    assert {tuple(run[tag]) for tag in histograms} == {(1, 2)}
    text = read(folder / "final")["recipe"][0].item().decode()
    assert text.splitlines() == ["    epochs: 2", "    <b>: 3"]
    assert "report/reliability" in read(folder / "validation")


@pytest.mark.skipif(sys.platform != "linux", reason="of Linux alone")
def test_memory_of_the_starting_process_is_not_counted():
    ballast = np.ones(2**28)  # 2 GiB
    code = "from kerasft.training import panels; print(panels.peak_memory())"
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    peaks = ast.literal_eval(told.stdout)
    assert 0.1 < peaks["memory/host_peak_gib"] < ballast.nbytes / 2**30


@pytest.mark.parametrize("status", [None, "Name: python\n"])
def test_memory_is_told_where_the_system_keeps_no_such_record(status, tmp_path):
    file = tmp_path / "status"
    if status is not None:
        file.write_text(status)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(panels, "STATUS", file)
        assert 0.1 < panels.peak_memory()["memory/host_peak_gib"] < 100


def test_chosen_steps_are_profiled_and_marked(fitted):
    from tensorflow.tsl.profiler.protobuf.xplane_pb2 import XSpace

    (file,) = (fitted[1] / "train" / "plugins" / "profile").rglob("*.xplane.pb")
    steps = []
    for plane in XSpace.FromString(file.read_bytes()).planes:
        names = {number: one.name for number, one in plane.stat_metadata.items()}
        stats = (
            s for line in plane.lines for event in line.events for s in event.stats
        )
        told = (one for one in stats if names[one.metadata_id] == "step_num")
        steps += [one.int64_value or one.uint64_value for one in told]
    assert sorted(steps) == [2, 3]


@pytest.mark.parametrize("values", [NORMAL, [1.0, 2.0, np.nan, np.inf]])
def test_histograms_are_those_of_tensorflow(values, tmp_path):
    import tensorflow as tf

    values = np.array(values, "float32")
    with tf.summary.create_file_writer(str(tmp_path)).as_default(1):
        tf.summary.histogram("weights", values[np.isfinite(values)])
    wanted = read(tmp_path)["weights"][1]
    np.testing.assert_allclose(counts_by_bin(values), wanted, atol=1e-5)


def test_a_histogram_of_equal_values_counts_them_all():
    for values in (np.zeros(5), np.full((2, 3), 7.0), np.array([])):
        assert counts_by_bin(values)[:, 2].sum() == values.size


@pytest.mark.parametrize("steps", [[3], [3, 2], [0, 2]])
def test_steps_that_cannot_be_profiled_are_refused(steps, tmp_path):
    with pytest.raises(SettingsError, match=r"such as \[5, 8\]"):
        StepProfile(tmp_path, steps)


def test_an_optimizer_and_data_of_the_users_own_are_no_hindrance(task, tmp_path):
    import tensorflow as tf

    ids = np.full((8, 6), 7, "int32")
    data = tf.data.Dataset.from_tensor_slices(
        ({"input_ids": ids, "attention_mask": np.ones_like(ids)}, np.zeros(8, "int32"))
    ).batch(4)
    task.compile(optimizer=keras.optimizers.SGD(0.01))
    task.fit(data, callbacks=[kft.TensorBoard(tmp_path)], verbose=0)
    run = read(tmp_path / "train")
    assert "epoch/weight_norm" in run and "data/lengths" not in run
