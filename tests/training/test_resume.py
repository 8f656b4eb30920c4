"""A fit that is ended anywhere and run again ends with the same bits."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from tiny_tasks import LABELS

import kerasft as kft
from kerasft._errors import CheckpointError, SettingsError

WORDS = "good bad plot film actor story scene music dull fine".split()
EPOCHS = 3


class Ended(Exception):
    """The process was killed."""


class EndAt(keras.callbacks.Callback):
    """Raise before a step, as a kill would."""

    def __init__(self, epoch, step):
        super().__init__()
        self.place = epoch, step
        self.epoch = 0

    def on_epoch_begin(self, epoch, logs=None):
        self.epoch = epoch

    def on_train_batch_begin(self, batch, logs=None):
        if (self.epoch, batch) == self.place:
            raise Ended

    def on_test_begin(self, logs=None):
        if (self.epoch, -1) == self.place:
            raise Ended


def rows():
    random = np.random.default_rng(0)
    texts = [" ".join(random.choice(WORDS, random.integers(2, 9))) for _ in range(22)]
    return kft.from_lists(texts, [LABELS[i % 3] for i in range(22)])


def new_task(tiny_bert, method=None):
    keras.utils.set_random_seed(1)
    task = kft.TextClassifier.from_pretrained(tiny_bert, labels=LABELS)
    if method is not None:
        task.add_adapter(method)
    return task


def fitted(task, callbacks, data=None, **options):
    """Train: dropout, warm-up, shuffling, validation; 6 steps an epoch."""
    data = task.dataset(rows(), 4, training=True, seed=3) if data is None else data
    task.compile(kft.adamw(1e-3, warmup=0.2), micro_batches=2)
    valid = task.dataset(rows(), 8)
    stop = keras.callbacks.EarlyStopping("val_loss", patience=9)
    return task.fit(
        data,
        epochs=EPOCHS,
        validation_data=valid,
        verbose=0,
        callbacks=[*callbacks, stop],
        **options,
    )


def weights_of(task):
    """All that the fit has changed: weights, seeds, the optimizer's variables."""
    variables = [*task.variables, *task.optimizer.variables]
    return [keras.ops.convert_to_numpy(v) for v in variables]


def same_bits(left, right):
    return all(np.array_equal(*pair) for pair in zip(left, right, strict=True))


METHODS = {"full": None, "lora": kft.LoRA(rank=2, dropout=0.2), "adalora": "adalora"}


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("place", [(0, 3), (1, 0), (1, -1), (2, 5)], ids=str)
def test_a_killed_fit_ends_with_the_same_bits(tiny_bert, tmp_path, name, place):
    method = METHODS[name]
    if name == "adalora":
        method = kft.AdaLoRA(warmup_steps=2, final_steps=4, every=2)
    whole = new_task(tiny_bert, method)
    history = fitted(whole, []).history

    with pytest.raises(Ended):
        resume = kft.Resume(tmp_path, save_steps=2)
        fitted(new_task(tiny_bert, method), [resume, EndAt(*place)])
    task = new_task(tiny_bert, method)
    resume = kft.Resume(tmp_path, save_steps=2)
    resumed = fitted(task, [resume]).history

    assert resume.resumed_from is not None
    assert same_bits(weights_of(task), weights_of(whole))
    assert resumed == history
