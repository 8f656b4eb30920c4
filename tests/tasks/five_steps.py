"""A program: train a checkpoint without dropout by fit, on `KERAS_BACKEND`.

five_steps.py CHECKPOINT OUT.npz

Saves the change of each weight by five steps of SGD, and of AdamW; and the metrics.
"""

import sys

import keras
import numpy as np
from tiny_tasks import LABELS, tiny_rows

import kerasft as kft

OPTIMIZERS = {
    "sgd": lambda: keras.optimizers.SGD(0.5),
    # Clips at every step. A large epsilon: where the true gradient is 0, Adam would
    # make steps of rounding.
    "adamw": lambda: kft.AdamW(
        kft.WarmupSchedule(1e-2, 5, 0.2), clip_norm=0.1, epsilon=1e-4
    ),
}


def weights(task):
    return {v.path: keras.ops.convert_to_numpy(v) for v in task.trainable_weights}


def train(checkpoint, name):
    keras.utils.set_random_seed(0)  # Of the new head.
    task = kft.TextClassifier.from_pretrained(checkpoint, labels=LABELS)
    # Keras draws other numbers on another backend.
    random = np.random.default_rng(0)
    for variable in task.head.trainable_weights:
        variable.assign(0.1 * random.normal(size=variable.shape))
    start = weights(task)
    task.compile(OPTIMIZERS[name]())
    batches = task.dataset(tiny_rows(19), 4, training=True, seed=1, max_shapes=1)
    valid = task.dataset(tiny_rows(7, seed=1), max_shapes=1)
    history = task.fit(batches, validation_data=valid, verbose=0).history
    found = {f"{name}/{k}": v - start[k] for k, v in weights(task).items()}
    return found | {f"{name}/logs/{k}": v[-1] for k, v in history.items()}


if __name__ == "__main__":
    checkpoint, out = sys.argv[1:]
    found = train(checkpoint, "sgd") | train(checkpoint, "adamw")
    np.savez(out, backend=keras.backend.backend(), **found)
