"""Strategies by name, and training on two devices against training on one."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import tensorflow as tf
from tiny_tasks import save_tiny_bert

import kerasft as kft
from kerasft._errors import SettingsError
from kerasft._registry import UnknownNameError
from kerasft.training import devices
from kerasft.workflows.launch import free_ports

PROGRAM = Path(__file__).parent / "two_devices.py"
# AdamW is compiled on one device and made of TensorFlow's kernels on two: its last bit
# differs, and a weight near 1 that moves by 1e-3 shows that as 6e-5.
LIMITS = {"sgd": 2e-6, "micro_batches": 1e-5, "lora": 1e-5}
MORE = {"clipped": 1e-5, "loss_sum": 1e-5, "adalora": 1e-5, "steps": 1e-5, "xla": 1e-5}
MORE |= {"static": 1e-5}
TASKS = {"tags": 1e-5, "tags_lora": 1e-5, "causal_lm": 1e-5, "causal_lm_lora": 1e-5}
MORE |= TASKS
OF_WORKERS = {"sgd": 2e-6, "loss_sum": 1e-5, "lora": 1e-5, "steps": 1e-5} | TASKS


def test_without_accelerators_auto_is_plain_tensorflow():
    assert kft.strategy().num_replicas_in_sync == 1
    with kft.strategy().scope():
        pass
    assert kft.strategy("auto") is kft.strategy("none")


def test_one_device_can_be_asked_for_as_a_strategy():
    assert isinstance(kft.strategy("one"), tf.distribute.OneDeviceStrategy)


def test_an_unknown_strategy_says_which_there_are():
    with pytest.raises(
        UnknownNameError,
        match="Did you mean 'mirrored'.*auto, mirrored, multi_worker, none, one, tpu",
    ):
        kft.strategy("mirorred")


def test_a_tpu_that_is_not_there_is_refused():
    with pytest.raises(SettingsError, match="no TPU"):
        kft.strategy("tpu")


@pytest.mark.parametrize("kind", ["none", "one", "mirrored", "tpu"])
def test_several_workers_are_refused_where_there_can_be_one(kind, monkeypatch):
    cluster = {
        "cluster": {"worker": ["10.0.0.1:1", "10.0.0.2:1"]},
        "task": {"type": "worker", "index": 0},
    }
    monkeypatch.setenv("TF_CONFIG", json.dumps(cluster))
    with pytest.raises(SettingsError, match="names 2 workers .*for one process"):
        kft.strategy(kind)


def test_one_worker_is_no_obstacle(monkeypatch):
    monkeypatch.setenv("TF_CONFIG", json.dumps({"cluster": {"worker": ["10.0.0.1:1"]}}))
    assert kft.strategy().num_replicas_in_sync == 1


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "[]",
        '{"cluster": 3}',
        '{"cluster": {"worker": 1}}',
        '{"cluster": {"worker": "10.0.0.1:1"}}',
    ],
)
def test_a_broken_cluster_is_refused(text, monkeypatch):
    monkeypatch.setenv("TF_CONFIG", text)
    with pytest.raises(SettingsError, match="no cluster in JSON"):
        kft.strategy()


@pytest.mark.parametrize(
    "addresses, told",
    [
        (["localhost", "10.0.0.2:1"], "has no port behind localhost"),
        (["10.0.0.1:1", "10.0.0.1:1"], "names 10.0.0.1:1 twice"),
        ([7, "10.0.0.2:1"], "has no port behind 7"),
    ],
)
def test_addresses_that_cannot_be_are_refused(addresses, told, monkeypatch):
    cluster = {"cluster": {"worker": addresses}}
    task = {"task": {"type": "worker", "index": 0}}
    monkeypatch.setenv("TF_CONFIG", json.dumps(cluster | task))
    with pytest.raises(SettingsError, match=told):
        kft.strategy()


ALONE = """
import kerasft as kft
kft.strategy()
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_worker_that_waits_for_others_says_so_and_can_be_ended(number):
    addresses = [f"127.0.0.1:{port}" for port in free_ports(2)]
    cluster = {
        "cluster": {"worker": addresses},
        "task": {"type": "worker", "index": 0},
    }
    process = subprocess.Popen(
        [sys.executable, "-c", ALONE],
        env=os.environ | {"TF_CONFIG": json.dumps(cluster)},
        stderr=subprocess.PIPE,
        text=True,
    )
    told = f"Waiting for the workers {addresses[1]}"
    try:
        assert any(told in line for line in process.stderr)
        process.send_signal(number)
        assert process.wait(20) == -number
    finally:
        process.kill()
        process.communicate()


@pytest.mark.parametrize(
    "task, told",
    [
        ({}, "worker 0, worker 1, and its task is missing"),
        ({"task": {"type": "worker", "index": 7}}, "its task is worker 7, none of"),
        ({"task": {"type": "chief", "index": 0}}, "its task is chief 0, none of"),
    ],
)
def test_a_process_that_is_none_of_the_cluster_is_refused(task, told, monkeypatch):
    cluster = {"cluster": {"worker": ["10.0.0.1:1", "10.0.0.2:1"]}}
    monkeypatch.setenv("TF_CONFIG", json.dumps(cluster | task))
    with pytest.raises(SettingsError, match=told):
        kft.strategy()


@pytest.mark.parametrize(
    "jobs, task_type, task_id, expected",
    [
        ({"worker": 2}, "worker", 0, True),
        ({"worker": 2}, "worker", 1, False),
        ({"chief": 1, "worker": 1}, "chief", 0, True),
        ({"chief": 1, "worker": 1}, "worker", 0, False),
    ],
)
def test_one_process_of_several_is_the_chief(jobs, task_type, task_id, expected):
    spec = tf.train.ClusterSpec(
        {job: [f"h{i}:1" for i in range(n)] for job, n in jobs.items()}
    )
    resolver = tf.distribute.cluster_resolver.SimpleClusterResolver(
        spec, task_type=task_type, task_id=task_id
    )
    assert devices.is_chief(SimpleNamespace(cluster_resolver=resolver)) is expected


def test_a_single_process_is_the_chief():
    assert devices.is_chief(kft.strategy("none"))
    assert devices.is_chief(kft.strategy("one"))


def started(checkpoints, kind, out, cases, **more):
    """The program `two_devices.py`, as a process."""
    places = [str(PROGRAM.parents[i]) for i in (0, 1, 2)]
    environment = os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3"} | more
    environment["PYTHONPATH"] = os.pathsep.join(places)
    return subprocess.Popen(
        [sys.executable, PROGRAM, checkpoints, kind, out, *cases],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def results(*programs):
    """Wait for programs to end well."""
    for program in programs:
        told, _ = program.communicate(timeout=900)
        assert program.returncode == 0, told[-3000:]


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory):
    """A folder of tiny ones without dropout."""
    folder = tmp_path_factory.mktemp("devices") / "checkpoints"
    parts = ("hidden", "attention", "projection")
    still = {f"{part}_dropout": 0.0 for part in parts}
    still |= {"num_layers": 1, "pad_token_id": 0}
    for name in ("bert", "gpt2"):
        (folder / name).mkdir(parents=True)
        save_tiny_bert(folder / name, name, **still)
    return folder


def on_one_and_two(checkpoints, cases):
    """What `two_devices.py` saves with one device, and with two."""
    kinds = ("none", "mirrored")
    outputs = [checkpoints.parent / f"{kind}-{len(cases)}.npz" for kind in kinds]
    pairs = zip(kinds, outputs, strict=True)
    results(*(started(checkpoints, kind, out, cases) for kind, out in pairs))
    return [dict(np.load(output)) for output in outputs]


def on_two_workers(checkpoints, cases):
    """What it saves as one of two processes."""
    out = checkpoints.parent / f"workers-{len(cases)}.npz"
    addresses = [f"127.0.0.1:{port}" for port in free_ports(2)]
    programs = []
    for index in range(2):
        task = {"type": "worker", "index": index}
        config = json.dumps({"cluster": {"worker": addresses}, "task": task})
        more = {"TF_CONFIG": config}
        programs.append(started(checkpoints, "multi_worker", out, cases, **more))
    results(*programs)
    return dict(np.load(out))


@pytest.fixture(scope="module")
def one_and_two(checkpoints):
    """One device and two, the cases of `LIMITS`."""
    return on_one_and_two(checkpoints, list(LIMITS))


@pytest.fixture(scope="module")
def one_and_two_more(checkpoints):
    """One device and two, the cases of `MORE`."""
    return on_one_and_two(checkpoints, list(dict.fromkeys([*MORE, *OF_WORKERS])))


@pytest.fixture(scope="module")
def workers(checkpoints):
    """Two processes, one case."""
    return on_two_workers(checkpoints, ["sgd"])


def test_two_devices_take_part(one_and_two):
    assert [int(found["replicas"]) for found in one_and_two] == [1, 2]


def raise_unless_same(case, limit, one, several):
    """The same change of the weights, and the same values in the history."""
    change = one[f"{case}/change"]
    apart = np.linalg.norm(several[f"{case}/change"] - change) / np.linalg.norm(change)
    assert np.linalg.norm(change) > 1e-3
    assert apart <= limit, apart
    for name in {f"{case}/history", f"{case}/norm"} & set(one):
        np.testing.assert_allclose(several[name], one[name], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("case, limit", LIMITS.items())
def test_two_devices_train_as_one_does(case, limit, one_and_two):
    raise_unless_same(case, limit, *one_and_two)


@pytest.mark.slow
@pytest.mark.parametrize("case, limit", MORE.items())
def test_two_devices_train_as_one_does_in_every_way(case, limit, one_and_two_more):
    raise_unless_same(case, limit, *one_and_two_more)


def test_two_workers_train_as_one_does(one_and_two, workers):
    assert int(workers["replicas"]) == 2
    raise_unless_same("sgd", LIMITS["sgd"], one_and_two[0], workers)


@pytest.mark.slow
def test_two_workers_train_as_one_does_in_every_way(checkpoints, one_and_two_more):
    workers = on_two_workers(checkpoints, list(OF_WORKERS))
    for case, limit in OF_WORKERS.items():
        raise_unless_same(case, limit, one_and_two_more[0], workers)


@pytest.mark.parametrize("what", ["predicted", "outputs"])
def test_several_predict_as_one_does(what, one_and_two, workers):
    one, two = one_and_two
    np.testing.assert_allclose(two[what], one[what], rtol=1e-5, atol=2e-5)
    np.testing.assert_allclose(workers[what], one[what], rtol=1e-5, atol=2e-5)


@pytest.mark.parametrize("bad", [0, 1])
def test_an_overflow_on_any_replica_skips_the_step_on_all(bad, one_and_two):
    _, two = one_and_two
    moved, scale = two[f"overflow/{bad}"]
    assert (moved, scale) == (0, 0.5)
    assert tuple(two["overflow/-1"]) == (1, 1)


def test_the_callbacks_run_on_two_devices(one_and_two):
    one, two = one_and_two
    assert {"step/loss", "step/gradient_norm", "epoch/loss"} <= set(two["tags"])
    assert list(two["tags"]) == list(one["tags"])


def test_workers_that_nobody_names_are_refused(monkeypatch):
    monkeypatch.delenv("TF_CONFIG", raising=False)
    with pytest.raises(SettingsError, match="names no workers.*kerasft launch"):
        kft.strategy("multi_worker")


def test_workers_cannot_join_once_tensorflow_works(monkeypatch):
    tf.constant(1) + 1
    cluster = {"cluster": {"worker": ["127.0.0.1:1", "127.0.0.1:2"]}}
    task = {"task": {"type": "worker", "index": 0}}
    monkeypatch.setenv("TF_CONFIG", json.dumps(cluster | task))
    with pytest.raises(SettingsError, match="cannot be joined.*before anything else"):
        kft.strategy()
