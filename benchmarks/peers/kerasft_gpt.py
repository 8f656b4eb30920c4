"""kerasft: `CausalLM.fit` on the job's batches, from its checkpoint."""

import time

import keras
import numpy as np
import tensorflow as tf
from worker import serve

import kerasft as kft


class Steps(keras.callbacks.Callback):
    """Keeps the time and the loss of each step."""

    def __init__(self):
        super().__init__()
        self.marks, self.sums = [time.perf_counter()], [0.0]

    def on_train_batch_end(self, batch, logs=None):
        self.marks.append(time.perf_counter())
        self.sums.append(logs["loss"] * (batch + 1))  # Of the mean so far.


def dataset_of(rows, order):
    """Batches of inputs and the tokens that follow."""

    def batch(chosen):
        ids = tf.gather(rows, chosen)
        return {"input_ids": ids[:, :-1]}, ids[:, 1:]

    return tf.data.Dataset.from_tensor_slices(order).map(batch).prefetch(2)


def start(job):
    tf.config.threading.set_intra_op_parallelism_threads(job.threads)
    tf.config.threading.set_inter_op_parallelism_threads(job.threads)
    tokens, order = np.load(job.tokens), np.load(job.order)
    train, test = (tf.constant(tokens[side]) for side in ("train", "test"))

    def run() -> dict:
        keras.utils.set_random_seed(0)
        task = kft.CausalLM.from_pretrained(job.folder)
        rate, decay = job.learning_rate, job.decay
        task.compile(
            kft.adamw(
                rate,
                total_steps=job.steps,
                warmup=job.warmup,
                weight_decay=decay,
                clip_norm=None,
            )
        )
        steps = Steps()
        data = dataset_of(train, order)
        task.fit(data, verbose=0, callbacks=[steps], shuffle=False)
        seconds = steps.marks[-1] - steps.marks[0]
        count = len(test)
        whole = np.arange(count - count % job.batch_size).reshape(-1, job.batch_size)
        told = [
            task.evaluate(dataset_of(test, part), verbose=0, return_dict=True)["loss"]
            for part in (whole, np.arange(whole.size, count)[None])
            if part.size
        ]
        sizes = [size for size in (whole.size, count - whole.size) if size]
        return {
            "seconds": seconds,
            "step_seconds": np.diff(steps.marks).tolist(),
            "tokens_per_second": order.size * job.length / seconds,
            "losses": np.diff(steps.sums).tolist(),
            "perplexity": float(np.exp(np.average(told, weights=sizes))),
        }

    return run


if __name__ == "__main__":
    serve(start, ["keras", "tensorflow"])
