"""Arrays whose rows divide by a number: the last one is repeated, with weight 0.

Labels are -100 there where the loss skips those, so that loss, metrics and gradients
stay what they were: with in-batch negatives, too.
"""

import keras
import numpy as np
from keras import ops, tree

from kerasft._errors import DataError
from kerasft.objectives.losses import IGNORED


class FilledUp:
    """Gives a batch a number of rows, as `even_batch` does: `Batches.finish`.

    Args:
        task: it is asked at each batch what its loss skips.
        rows: a batch has at most as many.
    """

    def __init__(self, task, rows):
        self.task = task
        self.rows = rows

    def __call__(self, batch):
        """The batch with that many rows, and with weights if it has labels."""
        unpacked = keras.utils.unpack_x_y_sample_weight(batch)
        loss = self.task.item_loss
        skips = loss is None or loss.skips
        filled = without_none(even_batch(unpacked, self.rows, skips))
        return filled if len(filled) > 1 else filled[0]


def even_batch(batch, parts, skips):
    """Inputs, labels and weights whose rows divide by `parts`."""
    x, y, weights = batch
    if parts == 1 or y is None:
        return padded(x, parts), y, weights
    rows = rows_of(x)
    weights = np.ones(rows, "float32") if weights is None else np.asarray(weights)
    short = -rows % parts
    zeros = np.zeros((short, *weights.shape[1:]), weights.dtype)
    return (
        padded(x, parts),
        padded(y, parts, IGNORED if skips else None),
        np.concatenate([weights, zeros]),
    )


def padded(arrays, parts, label=None):
    """Arrays whose last row is repeated, until their rows divide by `parts`.

    Args:
        arrays: a structure of them.
        parts: what the rows shall divide by.
        label: stands in the new rows of integers, instead; None: it does not.
    """

    def fill(array):
        short = -array.shape[0] % parts
        if not short:
            return array
        array = np.asarray(array)
        rows = np.repeat(array[-1:], short, axis=0)
        if label is not None and np.issubdtype(array.dtype, np.signedinteger):
            rows = np.full_like(rows, label)
        return np.concatenate([array, rows])

    return tree.map_structure(fill, arrays)


def rows_of(arrays):
    """Rows of a batch."""
    return next(a for a in tree.flatten(arrays) if a is not None).shape[0]


def as_arrays(structure):
    """The same with arrays in place of TensorFlow's or torch's tensors."""

    def plain(leaf):
        known = leaf is None or ops.is_tensor(leaf)
        return leaf if known else np.asarray(leaf)

    return tree.map_structure(plain, structure)


def without_none(batch):
    """(inputs[, labels[, weights]])."""
    parts = tuple(batch)
    while parts[-1] is None:
        parts = parts[:-1]
    if parts[0] is None:
        raise DataError("A batch without inputs.")
    return parts
