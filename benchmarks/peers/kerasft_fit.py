"""kerasft: `task.dataset` and `task.fit` as the README shows them.

The first epoch holds the tracing of the train step. `compile` in the job is not
used: the task decides for itself what is compiled.
"""

import time

import keras
import numpy as np
from worker import Clock, padding_share, read_rows, serve

import kerasft as kft


class EpochEnds(keras.callbacks.Callback):
    """Marks the end of every epoch on a clock."""

    def __init__(self, clock: Clock):
        super().__init__()
        self.clock = clock

    def on_epoch_end(self, epoch, logs=None):
        self.clock.mark()


def rows_of(file: str):
    """Return kerasft rows with label names of a JSONL file."""
    texts, labels = read_rows(file)
    return kft.from_lists(texts, [str(label) for label in labels])


def measured_padding(batches) -> float:
    """Return the share of padding in one epoch of batches."""
    masks = [np.asarray(batch[0]["attention_mask"]) for batch in batches]
    return padding_share([mask.sum() for mask in masks], sum(m.size for m in masks))


def accuracy(task, rows) -> float:
    """Return the share of rows that get their own label from raw text."""
    found = task.predict_text(rows.texts(0, len(rows)))
    right = [found[i]["label"] == rows[i]["label"] for i in range(len(rows))]
    return sum(right) / len(right)


def limit_threads(threads: int) -> None:
    """Let TensorFlow use so many; JAX takes what the process may use."""
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        tf.config.threading.set_intra_op_parallelism_threads(threads)
        tf.config.threading.set_inter_op_parallelism_threads(threads)


def start(job):
    limit_threads(job.threads)

    def run() -> dict:
        keras.backend.clear_session()
        keras.utils.set_random_seed(job.seed)
        rows = rows_of(job.train)
        began = time.perf_counter()
        task = kft.TextClassifier.from_pretrained(
            job.checkpoint, labels=rows.labels, max_length=job.max_length
        )
        loaded = time.perf_counter()
        batches = task.dataset(
            rows, batch_size=job.batch_size, training=True, seed=job.seed
        )
        tokenised = time.perf_counter()
        steps = len(batches) * job.epochs
        task.compile(
            optimizer=kft.adamw(
                job.learning_rate,
                total_steps=steps,
                warmup=job.warmup,
                weight_decay=job.decay,
                clip_norm=None,
            )
        )
        clock = Clock()
        task.fit(batches, epochs=job.epochs, verbose=0, callbacks=[EpochEnds(clock)])
        clock.mark()
        return {
            "tokenise_seconds": tokenised - loaded,
            "load_seconds": loaded - began,
            "fit_seconds": clock.total,
            "epoch_seconds": clock.laps[: job.epochs],
            "padding_share": measured_padding(batches),
            "accuracy": accuracy(task, rows_of(job.test)),
        }

    return run


if __name__ == "__main__":
    serve(start, ["keras", "tensorflow"])
