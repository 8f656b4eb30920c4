"""A program: one of several processes that train on JAX, or the only one.

    jax_workers.py FOLDER OUT.npz CASE...

FOLDER holds what `jax_cases.save_checkpoints` has written; TF_CONFIG says which process
this is.
"""

import sys
from pathlib import Path

import jax_cases as cases
import numpy as np
from tiny_tasks import tiny_rows

import kerasft as kft
from kerasft.training.devices import is_chief, several_workers, wait_for_all


def looked_at(task):
    """What the task tells of an odd number of rows."""
    rows = tiny_rows(13)
    data = task.dataset(rows, 4, max_shapes=1)
    batch = next(iter(data))
    return {
        "predict": task.predict(data, verbose=0),
        "batch": task.predict_on_batch(batch[0]),
        "scores": [one["score"] for one in task.predict_text(rows.texts())],
        "evaluate": task.evaluate(data, verbose=0),
        "test": task.test_on_batch(*batch),
        "train": task.train_on_batch(*batch),
    }


def main(folder, output, *chosen):
    strategy = kft.strategy("auto")
    found = {"replicas": strategy.num_replicas_in_sync}
    found |= {"chief": is_chief(strategy), "several": several_workers(strategy)}
    for case in chosen:
        with strategy.scope():
            task, change, history = cases.run_case(Path(folder), case)
        found |= {f"{case}/change": change, f"{case}/history": [*history.values()]}
        if case == "sgd":
            found |= {f"sgd/{name}": told for name, told in looked_at(task).items()}
    wait_for_all(strategy)
    np.savez(output, **found)


if __name__ == "__main__":
    main(*sys.argv[1:])
