"""Fine-tunes a classifier on the job's rows and writes it twice.

In: a job. Out: `job.folder` (Hugging Face folder, for torch) and `job.saved_model`
(SavedModel, for TensorFlow), with the same weights, so that labels can be compared.
"""

from kerasft_fit import rows_of
from worker import serve

import kerasft as kft


def start(job):
    def run() -> dict:
        rows = rows_of(job.train)
        task = kft.TextClassifier.from_pretrained(
            job.checkpoint, labels=rows.labels, max_length=job.max_length
        )
        batches = task.dataset(rows, batch_size=job.batch_size, training=True, seed=0)
        task.compile()
        task.fit(batches, epochs=1, verbose=0)
        task.save_pretrained(job.folder)
        task.export(job.saved_model)
        return {}

    return run


if __name__ == "__main__":
    serve(start, ["keras", "tensorflow"])
