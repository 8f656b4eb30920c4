"""kerasft's SavedModel: strings in, labels out, TensorFlow and its text ops alone.

`sort` in the job orders the texts by their number of characters before they are cut
into batches, and puts the labels back into the user's order.
"""

import json
import time
from pathlib import Path

import tensorflow as tf
import tensorflow_text  # noqa: F401  (registers the ops the graph uses)
from worker import serve


def start(job):
    tf.config.threading.set_intra_op_parallelism_threads(job.threads)
    tf.config.threading.set_inter_op_parallelism_threads(job.threads)
    began = time.perf_counter()
    # `loaded` must live: a signature alone does not keep its variables.
    loaded = tf.saved_model.load(job.saved_model)
    load_seconds = time.perf_counter() - began
    texts = json.loads(Path(job.texts).read_text())

    def run() -> dict:
        classify = loaded.signatures["serving_default"]
        began = time.perf_counter()
        order = range(len(texts))
        if job.sort:
            order = sorted(order, key=lambda i: len(texts[i]))
        labels = [""] * len(texts)
        for cut in range(0, len(texts), job.batch_size):
            chosen = order[cut : cut + job.batch_size]
            found = classify(text=tf.constant([texts[i] for i in chosen]))["label"]
            for i, label in zip(chosen, found.numpy(), strict=True):
                labels[i] = label.decode()
        seconds = time.perf_counter() - began
        return {"seconds": seconds, "load_seconds": load_seconds, "labels": labels}

    return run


if __name__ == "__main__":
    serve(start, ["tensorflow", "tensorflow-text"])
