"""A `tf.data.Dataset` whose batches divide by the devices that share them.

What `tasks/even_rows.py` does to arrays, inside tf.data.
"""

import tensorflow as tf

from kerasft.data.pipeline import IGNORED


def evened(data, parts, skips, share=(0, 1)):
    """Batches (inputs, labels, weights) whose rows divide by `parts`.

    Args:
        data: batches of inputs, labels and perhaps weights; or of inputs alone.
        parts: devices that share the rows.
        skips: whether the loss skips labels of -100.
        share: which one of how many processes this is; each gets its own rows.
    """

    def even(*batch):
        x, *rest = batch
        rows = tf.shape(tf.nest.flatten(x)[0])[0]
        short = -rows % parts
        x = tf.nest.map_structure(lambda t: _filled(t, short), x)
        if not rest:
            return own(x)
        y = tf.nest.map_structure(
            lambda t: _filled(t, short, IGNORED if skips else None), rest[0]
        )
        weights = rest[1] if len(rest) > 1 else tf.ones([rows])
        none = tf.zeros_like(tf.repeat(weights[:1], short, axis=0))
        return own((x, y, tf.concat([weights, none], 0)))

    def own(batch):
        number, count = share
        if count == 1:
            return batch
        size = tf.shape(tf.nest.flatten(batch)[0])[0] // count
        return tf.nest.map_structure(lambda t: t[number * size :][:size], batch)

    return data.map(even)


def _filled(tensor, short, label=None):
    """A tensor with `short` rows more, like the last one or of `label`."""
    rows = tf.repeat(tensor[-1:], short, axis=0)
    if label is not None and tensor.dtype.is_integer:
        rows = tf.fill(tf.shape(rows), tf.cast(label, tensor.dtype))
    return tf.concat([tensor, rows], 0)
