"""What is given to `fit` and its like, looked at before anything runs."""

import numpy as np

from kerasft._errors import DataError, SettingsError

REMEDIES = {
    "class_weight": "give compile(class_weight=...), which weighs by label name",
    "validation_split": "split the rows: kerasft.split(rows, (0.9, 0.1))",
    "loss_weights": "a task has one output; give weights of rows to dataset()",
    "weighted_metrics": "give metrics=[...]; they see the rows' weights",
}


def raise_if_rows(data):
    """Refuse rows that were not made into batches.

    Raises:
        DataError: `data` are rows.
    """
    if hasattr(data, "fingerprint") and hasattr(data, "select"):
        raise DataError(
            f"{data!r} are rows; give batches of them: task.dataset(rows, batch_size), "
            "with training=True for fit."
        )


def raise_if_outside(data, vocab_size):
    """Check ids in arrays; those in a dataset are checked batch by batch.

    Raises:
        DataError: the model has no such ids. XLA would clamp them without a word.
    """
    inputs = data[0] if isinstance(data, tuple) else data
    if not isinstance(inputs, dict) or not np.size(inputs.get("input_ids", ())):
        return
    ids = np.asarray(inputs["input_ids"])
    if ids.min() < 0 or ids.max() >= vocab_size:
        raise DataError(
            f"input_ids must be 0 to {vocab_size - 1}, for this model has no others; "
            f"these are {ids.min()} to {ids.max()}. Use the model's own tokenizer."
        )


def refuse(options, names):
    """Refuse options of Keras that a task does otherwise, and say how.

    Raises:
        SettingsError: one of `names` is set.
    """
    for name in sorted(names & {key for key, value in options.items() if value}):
        raise SettingsError(f"{name} is not taken here: {REMEDIES[name]}.")


def steps_of(x, y, options):
    """Steps of one epoch, or None where that is not known."""
    if y is not None:
        return -(-len(y) // (options.get("batch_size") or 32))
    try:
        return len(x)
    except TypeError:  # An endless or generated dataset.
        return None
