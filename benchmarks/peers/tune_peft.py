"""kerasft: fine-tuning of a classifier by one method, or whole ("full").

With `steps` in the job that many steps are timed on the same batches, else it is
trained for `epochs` and tested.
"""

import time
from itertools import pairwise
from statistics import median

import keras
from kerasft_fit import accuracy, limit_threads, rows_of
from worker import peak_memory_mib, serve

import kerasft as kft
from kerasft.peft.chosen import method_of


def started(job, rows):
    """The task with its adapter, compiled; and its batches."""
    task = kft.TextClassifier.from_pretrained(
        job.checkpoint, labels=rows.labels, max_length=job.max_length
    )
    rate = job.learning_rate
    if job.method != "full":
        method = method_of({"method": job.method, **vars(job.settings)})
        task.add_adapter(method)
        rate = getattr(job,'rate',None) or task.usual_learning_rate
    batches = task.dataset(rows, job.batch_size, training=True, seed=job.seed)
    steps = len(batches) * job.epochs
    task.compile(kft.adamw(rate, total_steps=steps, warmup=job.warmup, clip_norm=1.0))
    return task, batches


def device() -> str:
    """What the backend computes on."""
    if keras.backend.backend() == "jax":
        import jax

        return jax.devices()[0].device_kind
    return "cpu"


class Steps(keras.callbacks.Callback):
    """The moment of each step."""

    def __init__(self):
        super().__init__()
        self.moments = []

    def on_train_batch_end(self, batch, logs=None):
        self.moments.append(time.perf_counter())


def start(job):
    libraries = peak_memory_mib()
    limit_threads(job.threads)

    def run() -> dict:
        keras.backend.clear_session()
        keras.utils.set_random_seed(job.seed)
        rows = rows_of(job.train)
        task, batches = started(job, rows)
        seen = Steps()
        if job.steps:
            task.fit(batches.take(job.steps), verbose=0, callbacks=[seen])
        else:
            task.fit(batches, epochs=job.epochs, verbose=0, callbacks=[seen])
        laps = [after - before for before, after in pairwise(seen.moments)]
        shares = task.adapter_shares
        told = {"step_seconds": median(laps[2:]), "trained": shares.trained}
        told |= {"share": shares.share, "total": shares.total}
        told |= {"libraries_mib": libraries, "device": device()}
        if not job.steps:
            told["accuracy"] = accuracy(task, rows_of(job.test))
        return told

    return run


if __name__ == "__main__":
    serve(start, ["keras", keras.backend.backend()])
