"""kerasft: `TokenClassifier` on words and tags, as the README shows it."""

import keras
import tensorflow as tf
from worker import read_rows, serve

import kerasft as kft


def accuracy(task, rows) -> float:
    """Return the share of words that get their own tag."""
    pairs = zip(task.true_tags(rows), task.predict_rows(rows), strict=True)
    right = [true == guess for true, (guess, _) in pairs]
    return sum(int(row.sum()) for row in right) / sum(map(len, right))


def start(job):
    tf.config.threading.set_intra_op_parallelism_threads(job.threads)

    def run() -> dict:
        keras.utils.set_random_seed(job.seed)
        rows, test = (kft.from_tags(*read_rows(file)) for file in (job.train, job.test))
        task = kft.TokenClassifier.from_pretrained(
            job.checkpoint, labels=rows.labels, max_length=job.max_length
        )
        batches = task.dataset(rows, job.batch_size, training=True, seed=job.seed)
        steps = len(batches) * job.epochs
        optimizer = kft.adamw(
            job.learning_rate,
            total_steps=steps,
            warmup=job.warmup,
            weight_decay=job.decay,
            clip_norm=None,
        )
        task.compile(optimizer)
        task.fit(batches, epochs=job.epochs, verbose=0)
        return {"accuracy": accuracy(task, test)}

    return run


if __name__ == "__main__":
    serve(start, ["keras", "tensorflow"])
