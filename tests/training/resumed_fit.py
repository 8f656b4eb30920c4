"""A small fit with everything that has a state; a program that can be killed, too.

    resumed_fit.py CHECKPOINT FOLDER OUT.npz

Dropout, warm-up, shuffling, micro batches, validation, early stopping; 10 steps an
epoch, 6 epochs, a snapshot each step. What the fit has changed goes to OUT.npz.
"""

import sys

import keras
import numpy as np
from tiny_tasks import LABELS

import kerasft as kft

WORDS = "good bad plot film actor story scene music dull fine".split()
ROWS = 22


def rows(count=ROWS):
    random = np.random.default_rng(0)
    texts = [
        " ".join(random.choice(WORDS, random.integers(2, 9))) for _ in range(count)
    ]
    return kft.from_lists(texts, [LABELS[i % 3] for i in range(count)])


def new_task(checkpoint, method=None):
    """The task of one seed."""
    keras.utils.set_random_seed(1)
    task = kft.TextClassifier.from_pretrained(checkpoint, labels=LABELS)
    if method is not None:
        task.add_adapter(method)
    return task


def fitted(task, callbacks, data=None, epochs=3, rate=1e-3, micro_batches=2):
    """Train; give the `History`."""
    if data is None:
        data = task.dataset(rows(), 4, training=True, seed=3)
    total = epochs * len(data)
    optimizer = kft.adamw(rate, warmup=0.2, total_steps=total)
    task.compile(optimizer, micro_batches=micro_batches)
    stop = keras.callbacks.EarlyStopping("val_loss", patience=9)
    return task.fit(
        data,
        epochs=epochs,
        validation_data=task.dataset(rows(), 8),
        verbose=0,
        callbacks=[*callbacks, stop],
    )


def changed(model):
    """All that a fit changes: weights, seeds, the optimizer's variables."""
    variables = [*model.variables, *model.optimizer.variables]
    return [keras.ops.convert_to_numpy(v) for v in variables]


if __name__ == "__main__":
    checkpoint, folder, out = sys.argv[1:]
    task = new_task(checkpoint)
    resume = kft.Resume(folder, save_steps=1)
    data = task.dataset(rows(30), 3, training=True, seed=3)
    assert len(data) == 10
    history = fitted(task, [resume], data, epochs=6, rate=1e-2, micro_batches=3)
    np.savez(out, *changed(task), np.array(history.history["val_loss"]))
