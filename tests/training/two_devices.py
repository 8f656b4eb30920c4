"""A program: train on one device or several, save what came of it.

    two_devices.py CHECKPOINT KIND OUT.npz CASE...

KIND is a strategy: "mirrored" on two logical CPUs, "multi_worker" as one of two
processes. The checkpoint must be without dropout, whose masks differ.
"""

import sys
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tiny_tasks import LABELS, tiny_documents, tiny_rows

import kerasft as kft
from kerasft.training.callbacks import StopOnNaN
from kerasft.training.devices import is_chief

ROWS = 33  # In batches of 16 the last one leaves a replica without any row.
# A large epsilon: where the true gradient is 0, Adam would make steps of rounding.
CLIPPED = {"clip_norm": 0.1, "epsilon": 1e-3}
CASES = {
    "sgd": lambda: {"optimizer": keras.optimizers.SGD(0.5)},
    "clipped": lambda: {"optimizer": kft.AdamW(1e-2, **CLIPPED)},
    "micro_batches": lambda: {
        "optimizer": kft.AdamW(1e-2, **CLIPPED),
        "micro_batches": 2,
        "class_weight": dict(zip(LABELS, (0.2, 1.0, 5.0), strict=True)),
    },
    "loss_sum": lambda: {
        "optimizer": kft.AdamW(1e-2, **CLIPPED),
        "micro_batches": 2,
    },
    "lora": lambda: {"optimizer": kft.AdamW(1e-2, **CLIPPED)},
    "adalora": lambda: {"optimizer": kft.AdamW(1e-2, **CLIPPED)},
    "steps": lambda: {
        "optimizer": kft.AdamW(1e-2, **CLIPPED),
        "steps_per_execution": 3,
    },
    "xla": lambda: {"optimizer": kft.AdamW(1e-2, **CLIPPED), "jit_compile": True},
}
ADAPTERS = {
    "lora": kft.LoRA(rank=2, targets="all-linear"),
    "adalora": kft.AdaLoRA(init_rank=4, target_rank=2),
}


def number(variable):
    return float(
        keras.ops.convert_to_numpy(variable)
    )  # float() fails on a mirrored one.


def flat(variables):
    return np.concatenate([keras.ops.convert_to_numpy(v).ravel() for v in variables])


def train(folder, case):
    keras.utils.set_random_seed(0)
    if case == "loss_sum":
        task, rows = kft.Pretraining.from_pretrained(folder), tiny_documents(ROWS)
    else:
        task = kft.TextClassifier.from_pretrained(folder, labels=LABELS)
        rows = tiny_rows(ROWS)
    if case in ADAPTERS:
        task.add_adapter(ADAPTERS[case])
    task.compile(**CASES[case]())
    start = flat(task.trainable_weights)
    batches = task.dataset(rows, 16, training=True, seed=1, max_shapes=1)
    valid = task.dataset(tiny_rows(21), max_shapes=1) if case == "sgd" else None
    history = task.fit(batches, validation_data=valid, verbose=0).history
    return task, flat(task.trainable_weights) - start, history


def overflow(folder, strategy, bad):
    """After an infinite gradient on replica `bad`: a weight moved; new loss scale."""
    task = kft.TextClassifier.from_pretrained(folder, labels=LABELS)
    task.compile(optimizer=keras.optimizers.LossScaleOptimizer(kft.AdamW(1e-2)))
    task.optimizer.build(task.trainable_variables)
    before = keras.ops.convert_to_numpy(task.trainable_weights[0])
    scale = number(task.optimizer.dynamic_scale)

    @tf.function
    def step():
        context = tf.distribute.get_replica_context()
        value = tf.where(tf.equal(context.replica_id_in_sync_group, bad), np.inf, 1.0)
        gradients = [
            tf.fill(v.shape, tf.cast(value, v.dtype)) for v in task.trainable_variables
        ]
        gradients = task.sum_over_replicas(context, gradients)
        task.optimizer.apply(gradients, task.trainable_variables)

    strategy.run(step)
    moved = not np.array_equal(
        before, keras.ops.convert_to_numpy(task.trainable_weights[0])
    )
    return moved, number(task.optimizer.dynamic_scale) / scale


def with_callbacks(folder, log_dir):
    """Train with every callback; the tags written for TensorBoard."""
    task = kft.TextClassifier.from_pretrained(folder, labels=LABELS)
    task.compile(optimizer=kft.adamw(1e-3, total_steps=3))
    rows = tiny_rows(ROWS)
    callbacks = [
        StopOnNaN(every=1),
        kft.BestCheckpoint(log_dir / "best", "loss", restore=True),
        kft.TensorBoard(log_dir, update_freq=1, validation=rows),
    ]
    task.fit(
        task.dataset(rows, 16, training=True, max_shapes=1),
        callbacks=callbacks,
        verbose=0,
    )
    points = EventAccumulator(str(log_dir / "train")).Reload().Tags()["tensors"]
    return sorted(points)


def main(folder, kind, out, *cases):
    if kind == "mirrored":
        cpu = tf.config.list_physical_devices("CPU")[0]
        tf.config.set_logical_device_configuration(
            cpu, [tf.config.LogicalDeviceConfiguration()] * 2
        )
    found = {}
    strategy = kft.strategy(kind)
    with strategy.scope():
        for case in cases:
            task, change, history = train(folder, case)
            found[f"{case}/change"] = change
            found[f"{case}/history"] = [history[name][0] for name in sorted(history)]
            if case != "sgd":
                found[f"{case}/norm"] = number(task.optimizer.gradient_norm)
            if case == "sgd":
                found["predicted"] = task.predict_rows(tiny_rows(21), 8)
                found["outputs"] = task.predict_on_batch(
                    next(iter(task.dataset(tiny_rows(5))))[0]
                )
        found["tags"] = with_callbacks(folder, Path(out).parent / f"logs-{kind}")
        if kind != "multi_worker":
            for bad in (0, 1, -1):
                told = overflow(folder, strategy, bad)
                found[f"overflow/{bad}"] = np.array(told, float)
    if is_chief(strategy):
        np.savez(out, replicas=strategy.num_replicas_in_sync, **found)


if __name__ == "__main__":
    main(*sys.argv[1:])
