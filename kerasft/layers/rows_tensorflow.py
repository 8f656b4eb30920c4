"""Rows of a matrix written where they are, on TensorFlow.

`tf.tensor_scatter_nd_update` copies the whole matrix each time, even in a loop where
nothing else reads it: of a cache of keys and values that is most of what a step moves.
The trap: on a CPU the matrix that is given changes, too.
"""

import tensorflow as tf


def on_cpu() -> bool:
    """Whether there is no GPU to compute on."""
    return not tf.config.get_visible_devices("GPU")


def with_rows(matrix, rows, new):
    """The matrix with new rows; what was given is not to be read any more.

    Args:
        matrix: (some, width).
        rows: int32 (count,), which ones.
        new: (count, width).
    """
    if not on_cpu():  # Where a copy takes next to no time.
        return tf.tensor_scatter_nd_update(matrix, rows[:, None], new)
    # Not advised by TensorFlow, whose own advice is the copy.
    return tf.raw_ops.InplaceUpdate(x=matrix, i=rows, v=new)
