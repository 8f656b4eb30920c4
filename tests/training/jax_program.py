"""A program: train on JAX, first without TensorFlow, then on one and two devices.

    jax_program.py FOLDER quick|slow OUT.npz

FOLDER holds what `jax_cases.save_checkpoints` has written.
"""

import importlib
import sys
import time
from pathlib import Path

sys.modules["tensorflow"] = None  # As on a machine that has none.

import jax_cases as cases  # noqa: E402
import keras  # noqa: E402
import numpy as np  # noqa: E402
from tiny_tasks import tiny_rows  # noqa: E402

import kerasft as kft  # noqa: E402
from kerasft._errors import DataError, SettingsError  # noqa: E402

FOLDERS = ("layers", "models", "objectives", "peft", "tasks", "sampling")
PACKAGE = Path(kft.__file__).parent
STARTED = time.process_time()


def note(what):
    """Tell whoever runs this by hand, and the log of a failure, how far it came."""
    sys.stdout.write(f"{time.process_time() - STARTED:6.1f} s  {what}\n")
    sys.stdout.flush()


class Dictionaries(keras.utils.PyDataset):
    """Batches as a user may make them."""

    def __init__(self, batches):
        super().__init__()
        self.batches = batches

    def __len__(self):
        return len(self.batches)

    def __getitem__(self, index):
        return self.batches[index]


def without_tensorflow(folder, found):
    for module in [m for f in FOLDERS for m in sorted((PACKAGE / f).glob("*.py"))]:
        if not module.stem.endswith("tensorflow"):
            place = module.relative_to(PACKAGE.parent).with_suffix("")
            importlib.import_module(".".join(place.parts))
    task = cases.opened(folder, "text_classifier")
    rows = tiny_rows(cases.ROWS)
    batches = task.dataset(rows, 8, training=True, seed=1, max_shapes=1)
    assert isinstance(batches, keras.utils.PyDataset)
    as_they_are = [batches[i] for i in range(len(batches))]
    batches.batches.epoch = 0
    inputs = {
        name: np.concatenate([x[name] for x, _ in as_they_are])
        for name in as_they_are[0][0]
    }
    labels = np.concatenate([y for _, y in as_they_are])
    sliced = [
        ({name: array[i : i + 8] for name, array in inputs.items()}, labels[i : i + 8])
        for i in range(0, cases.ROWS, 8)
    ]
    ways = {
        "arrays": (inputs, {"y": labels, "batch_size": 8, "shuffle": False}),
        "sliced": (Dictionaries(sliced), {}),
        "py_dataset": (Dictionaries(as_they_are), {}),
        "generator": ((batch for batch in as_they_are), {"steps_per_epoch": 3}),
        "dataset": (batches, {}),
    }
    start = task.get_weights()
    task.compile(keras.optimizers.SGD(0.5))
    for way, (data, options) in ways.items():
        task.set_weights(start)
        history = task.fit(data, verbose=0, **options).history
        found[f"bare/{way}/loss"] = history["loss"]
        found[f"bare/{way}/weights"] = cases.flat(task.weights)
    valid = task.dataset(rows, 8, max_shapes=1)
    logits = task.predict(valid, verbose=0)
    found["bare/evaluate"] = task.evaluate(valid, verbose=0)
    found["bare/predict"] = logits
    found["bare/texts"] = [one["score"] for one in task.predict_text(rows.texts())]
    found["bare/true"] = np.exp(logits).max(-1) / np.exp(logits).sum(-1)
    bad = [({"input_ids": np.full((2, 3), 999)}, np.zeros(2, "int32"))]
    for data in (Dictionaries(bad), iter_of(bad)):
        try:
            task.evaluate(data, verbose=0)
        except DataError as error:
            assert "999" in str(error)
        else:
            raise AssertionError("ids that the model does not have")
    assert sys.modules["tensorflow"] is None


def iter_of(batches):
    yield from batches


def on_devices(folder, part, found):
    for name, some in cases.DEVICES[part].items():
        kind = name.rstrip("1")
        strategy = kft.strategy(kind, **({} if kind == name else {"split": 1}))
        found[f"{name}/reason"] = strategy.reason
        found[f"{name}/replicas"] = strategy.num_replicas_in_sync
        for case in some:
            with strategy.scope():
                task, change, history = cases.run_case(folder, case)
            found[f"{name}/{case}/change"] = change
            found[f"{name}/{case}/history"] = list(history.values())
            if case == "sgd":
                found |= looked_at(task, name)
            note(f"{name} {case}")
    keras.distribution.set_distribution(None)


def looked_at(task, name):
    """Predictions of an odd number of rows, and where a kernel lies."""
    rows = tiny_rows(13)
    data = task.dataset(rows, 4, max_shapes=1)
    kernel = task.backbone.get_layer("block_0").mlp.up_proj.kernel
    shards = kernel.value.addressable_shards
    refused(task)
    return {
        f"{name}/scores": [one["score"] for one in task.predict_text(rows.texts())],
        f"{name}/predict": task.predict(data, verbose=0),
        f"{name}/shard": shards[0].data.shape,
        f"{name}/devices": len(shards),
    }


def refused(task):
    """Data that cannot be shared out say so."""
    if task.distribute_strategy.num_replicas_in_sync == 1:
        return
    try:
        task.evaluate(iter([({}, 0)]), verbose=0)
    except SettingsError as error:
        assert "several devices" in str(error)
    else:
        raise AssertionError("an iterator")


def more(folder, found):
    """What needs no second device."""
    task = cases.opened(folder, "text_classifier")
    task.compile(keras.optimizers.SGD(0.5), rdrop_alpha=1.0)
    batches = task.dataset(tiny_rows(8), 8, training=True)
    found["rdrop"] = task.fit(batches, verbose=0).history["loss"]
    writer = cases.opened(folder, "causal_lm")
    found["texts"] = writer.generate(["a great", "the plot was"], max_new_tokens=6)
    found["likely"] = writer.log_likelihoods(tiny_rows(5).texts())
    note("more")


def main(folder, part, output):
    folder, found = Path(folder), {}
    if part == "quick":
        without_tensorflow(folder, found)
        note("without TensorFlow")
    del sys.modules["tensorflow"]
    for name, adapter in cases.CURVES[part]:
        found[f"curve/{name}/{adapter}"] = cases.curve(folder, name, adapter)
        note(f"curve {name} {adapter}")
    on_devices(folder, part, found)
    if part == "slow":
        more(folder, found)
    np.savez(output, **found)


if __name__ == "__main__":
    main(*sys.argv[1:])
