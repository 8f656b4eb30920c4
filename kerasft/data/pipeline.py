"""Examples to batches in tf.data.

`Batches.dataset()` is a plain `tf.data.Dataset` of (inputs, labels) or (inputs, labels,
weights), with its length known. Its order is a function of seed and epoch; it begins a
new epoch with each pass, or at the epoch that `Batches.epoch` was set to.

The trap: tf.data's autotuning thread can hold up the end of a pass by seconds
(TF 2.21), so it is switched off here.
"""

from dataclasses import dataclass

import numpy as np
import tensorflow as tf

from kerasft.data.batching import BatchPlan
from kerasft.data.encoding import Examples


@dataclass
class Batches:
    """The batches of some examples, epoch after epoch.

    Args:
        examples: token ids.
        plan: which examples make up which batch.
        labels: array whose first axis is the examples, or None.
        weights: (examples,) or None.
        pad_id: fills up `input_ids`.
        epoch: the epoch of the next pass.
    """

    examples: Examples
    plan: BatchPlan
    labels: np.ndarray | None = None
    weights: np.ndarray | None = None
    pad_id: int = 0
    epoch: int = 0

    def __len__(self):
        return len(self.plan)

    @property
    def padding_share(self) -> float:
        """Share of all positions that hold no token, 0 to 1."""
        return self.plan.padding_share(self.epoch)

    def dataset(self, first_step: int = 0) -> tf.data.Dataset:
        """The batches as tensors, from `first_step` of the epoch on.

        `input_ids` and `attention_mask` (and `token_type_ids`, for pairs) are int32
        (batch, length). The dataset's attribute `batches` is this object.
        """
        spec = tf.nest.map_structure(
            lambda a: tf.TensorSpec((None, *[None] * (a.ndim > 1)), a.dtype),
            self._batch(self.plan.order(0), 0),
        )
        if self.labels is not None and self.labels.ndim > 1:
            shape = (None, *self.labels.shape[1:])
            spec = (spec[0], tf.TensorSpec(shape, self.labels.dtype), *spec[2:])
        data = tf.data.Dataset.from_generator(
            lambda: self._pass(first_step), output_signature=spec
        )
        data = data.apply(
            tf.data.experimental.assert_cardinality(len(self) - first_step)
        )
        options = tf.data.Options()
        options.autotune.enabled = False
        options.experimental_distribute.auto_shard_policy = (
            tf.data.experimental.AutoShardPolicy.DATA
        )
        data = data.prefetch(2).with_options(options)
        data.batches = self
        return data

    def _pass(self, first_step):
        epoch = self.epoch
        order = self.plan.order(epoch)
        for step in range(first_step, len(self)):
            yield self._batch(order, step)
        self.epoch = epoch + 1

    def _batch(self, order, step):
        chosen, width = self.plan.batch(order, step)
        inputs = padded(self.examples, chosen, width, self.pad_id)
        if self.labels is None:
            return inputs
        if self.weights is None:
            return inputs, self.labels[chosen]
        return inputs, self.labels[chosen], self.weights[chosen]


def padded(examples: Examples, chosen: np.ndarray, width: int, pad_id: int) -> dict:
    """Model inputs of the `chosen` examples, int32 (chosen, width)."""
    lengths = examples.lengths[chosen]
    columns = np.arange(width, dtype="int64")
    real = columns < lengths[:, None]
    places = np.where(real, examples.starts[chosen][:, None] + columns, 0)
    inputs = {
        "input_ids": np.where(real, examples.ids[places], np.int32(pad_id)),
        "attention_mask": real.astype("int32"),
    }
    if examples.second_starts is not None:
        second = columns >= examples.second_starts[chosen][:, None]
        inputs["token_type_ids"] = (real & second).astype("int32")
    return inputs
