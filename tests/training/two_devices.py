"""A program: train on one device or two logical CPUs, save the trained weights.

    two_devices.py FOLDER KIND CASE OUT.npz

KIND is a strategy; CASE one of `CASES`. 43 rows in batches of 16: the last is uneven.
"""

import sys
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parents[i]) for i in (0, 1, 2)]

import keras
import numpy as np
import tensorflow as tf
from tiny_tasks import LABELS, tiny_rows

import kerasft as kft


def sgd():
    return {"optimizer": keras.optimizers.SGD(0.5)}


def clipped_adamw():
    # A large epsilon: where the true gradient is 0, Adam would make steps of rounding.
    return {"optimizer": kft.AdamW(1e-2, clip_norm=0.1, epsilon=1e-3)}


def micro_batches():
    return {**clipped_adamw(), "micro_batches": 2}


def weighted():
    return {**sgd(), "class_weight": dict(zip(LABELS, (0.2, 1.0, 5.0), strict=True))}


CASES = {
    "sgd": sgd,
    "clipped_adamw": clipped_adamw,
    "micro_batches": micro_batches,
    "class_weight": weighted,
}


def train(folder, case, rows, epochs):
    keras.utils.set_random_seed(0)
    task = kft.TextClassifier.from_pretrained(folder, labels=LABELS)
    task.compile(**CASES[case]())
    batches = task.dataset(tiny_rows(rows), 16, training=True, seed=1)
    history = task.fit(
        batches, validation_data=task.dataset(tiny_rows(21)), epochs=epochs, verbose=0
    ).history
    return task, history


def overflow(folder, replica):
    """A batch with an infinite weight on one replica: nothing may move."""
    task = kft.TextClassifier.from_pretrained(folder, labels=LABELS, precision="mixed_float16")
    task.compile(optimizer=kft.AdamW(1e-2))
    batch = task.dataset(tiny_rows(8), 8)
    weights = np.ones(8, "float32")
    weights[7 * replica] = np.inf
    batch = batch.map(lambda x, y: (x, y, weights))
    before = [np.array(w) for w in task.trainable_weights]
    scale = float(task.optimizer.dynamic_scale)
    task.fit(batch, verbose=0)
    same = all(np.array_equal(a, b) for a, b in zip(before, task.get_weights(), strict=False))
    return same, float(task.optimizer.dynamic_scale) / scale


def main(folder, kind, out):
    if kind == "mirrored":
        cpu = tf.config.list_physical_devices("CPU")[0]
        tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
    found = {}
    strategy = kft.strategy(kind)
    with strategy.scope():
        for case in CASES:
            for rows in (43, 33):
                task, history = train(folder, case, rows, 1)
                found[f"{case}-{rows}/weights"] = np.concatenate([np.ravel(w) for w in task.trainable_weights])
                found[f"{case}-{rows}/history"] = np.array([history[name][0] for name in sorted(history)])
                if case == "clipped_adamw":
                    found[f"{case}-{rows}/norm"] = float(task.optimizer.gradient_norm)
        for replica in range(strategy.num_replicas_in_sync):
            found[f"overflow/{replica}"] = np.array(overflow(folder, replica), float)
    np.savez(out, replicas=strategy.num_replicas_in_sync, **found)


if __name__ == "__main__":
    main(*sys.argv[1:])
