"""Examples to batches in tf.data.

`Batches.dataset()` is a plain `tf.data.Dataset` of (inputs, labels) or (inputs, labels,
weights), with its length known. Its order is a function of seed and epoch; it begins a
new epoch with each pass, or at the epoch that `Batches.epoch` was set to.

The batches are made by NumPy: without TensorFlow, which is loaded when it is first
needed, `Batches.arrays` gives the same.

The trap: tf.data's autotuning thread can hold up the end of a pass by seconds
(TF 2.21), so it is switched off here.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from kerasft.data.batching import BatchPlan
from kerasft.data.encoding import Examples
from kerasft.data.text_columns import TextColumns

COMPILED_SHAPES, UNCOMPILED_SHAPES = 16, 64  # padded lengths, with XLA and without
IGNORED = -100
RELEASED_EVERY = 8  # batches; it takes as long as making half of one


def on_cpu_alone() -> bool:
    """Whether TensorFlow has no accelerator, so that Keras does not use XLA."""
    import tensorflow as tf

    devices = tf.config.list_logical_devices()
    return all(device.device_type == "CPU" for device in devices)


@dataclass
class Batches:
    """The batches of some examples, epoch after epoch.

    Args:
        examples: token ids, of one text a row or of several.
        plan: which examples make up which batch.
        labels: array whose first axis is the examples, or None.
        per_token: whether `labels` are (tokens,), one for each of `examples.ids`; in a
            batch they are (batch, length), padded with -100.
        weights: (examples,) or None.
        pad_id: fills up `input_ids`.
        epoch: the epoch of the next pass.
        make: (example numbers, padded length, generator) -> the batch, where it is
            more than examples and labels as they are. The generator depends on seed,
            epoch and step; without shuffling, every epoch is the first.
        extras: name -> int32 (tokens,), further inputs with a value for each of
            `examples.ids`; padded with 0.
        finish: (batch) -> the batch, changed at the end; all have the shapes of the
            first one then, which the dataset tells. None: nothing is changed.
        resume_at: (epoch, step): the batches of that epoch before `step` are not made;
            stand-ins of zeros take their place.
    """

    examples: Examples | TextColumns
    plan: BatchPlan
    labels: np.ndarray | None = None
    weights: np.ndarray | None = None
    pad_id: int = 0
    per_token: bool = False
    epoch: int = 0
    make: Callable | None = None
    extras: dict = field(default_factory=dict)
    finish: Callable | None = None
    resume_at: tuple | None = None
    _known: tuple | None = field(default=None, init=False, repr=False)

    def __len__(self):
        return len(self.plan)

    @property
    def padding_share(self) -> float:
        """Share of all positions that hold no token, 0 to 1."""
        filled = 1.0 - self.plan.padding_share(self.epoch)  # By each row's longest.
        if isinstance(self.examples, TextColumns):
            columns = len(self.examples.columns)
            longest = columns * self.examples.lengths.sum(dtype="int64")
            filled *= self.examples.tokens() / longest
        return 1.0 - filled

    def arrays(self, epoch: int, step: int):
        """Batch `step` of `epoch`; after the last one the next epoch begins."""
        batch = self._batch(self._order(epoch), step, epoch)
        if step == len(self) - 1:
            self.epoch = epoch + 1
        if step % RELEASED_EVERY == 0:
            self.examples.release()
        return batch

    def dataset(self, first_step: int = 0):
        """The batches as a `tf.data.Dataset`, from `first_step` of the epoch on.

        `input_ids` and `attention_mask` (and `token_type_ids`, for pairs) are int32
        (batch, length), of `TextColumns` (batch, columns, length). The dataset's
        attribute `batches` is this object.
        """
        import tensorflow as tf

        spec = self._spec()
        # Not from_generator: its op changes malloc's settings for the whole process,
        # so that every large tensor is given back to the system and fetched again.
        data = tf.data.Dataset.from_tensors(0).map(lambda _: self._begin())
        data = data.flat_map(
            lambda epoch, skipped: tf.data.Dataset.range(first_step, len(self)).map(
                lambda step: tf.cond(
                    step < skipped,
                    lambda: stand_in(spec),
                    lambda: self._tensors(epoch, step, spec),
                )
            )
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

    def first(self):
        """The first batch of the first epoch, as arrays."""
        return self._batch(self.plan.order(0), 0)

    def _spec(self):
        """Shapes and dtypes of the batches, as a structure of `tf.TensorSpec`."""
        import tensorflow as tf

        if self.finish is not None:
            return tf.nest.map_structure(
                lambda array: tf.TensorSpec(array.shape, array.dtype), self.first()
            )
        spec = tf.nest.map_structure(_open_spec, self.first())
        if self.labels is not None and self.labels.ndim > 1 and not self.per_token:
            shape = (None, *self.labels.shape[1:])
            spec = (spec[0], tf.TensorSpec(shape, self.labels.dtype), *spec[2:])
        return spec

    def _begin(self):
        """The epoch of the pass that begins now, and how many steps it skips."""
        import tensorflow as tf

        def now():
            epoch, step = self.resume_at or (-1, 0)
            return np.int64(self.epoch), np.int64(step if epoch == self.epoch else 0)

        numbers = tf.numpy_function(now, [], [tf.int64, tf.int64])
        for number in numbers:
            number.set_shape(())
        return tuple(numbers)

    def _tensors(self, epoch, step, spec):
        """Batch `step` of `epoch`, as tensors."""
        import tensorflow as tf

        def arrays(epoch, step):
            return tf.nest.flatten(self.arrays(int(epoch), int(step)))

        flat = tf.nest.flatten(spec)
        tensors = tf.numpy_function(arrays, [epoch, step], [s.dtype for s in flat])
        for tensor, described in zip(tensors, flat, strict=True):
            tensor.set_shape(described.shape)
        return tf.nest.pack_sequence_as(spec, tensors)

    def _order(self, epoch):
        """The plan's order of an epoch; the last one is kept."""
        if self._known is None or self._known[0] != epoch:
            self._known = epoch, self.plan.order(epoch)
        return self._known[1]

    def _batch(self, order, step, epoch=0):
        chosen, width = self.plan.batch(order, step)
        if self.make is not None:
            batch = self.make(chosen, width, self._random(step, epoch))
        else:
            batch = self._as_they_are(chosen, width)
        if self.weights is not None and not isinstance(batch, dict):
            batch = (*batch, self.weights[chosen])
        return batch if self.finish is None else self.finish(batch)

    def _random(self, step, epoch):
        """What `make` decides by."""
        epoch = epoch if self.plan.shuffle else 0
        # The 1, because numpy takes a seed that ends in 0 for the shorter one, which
        # the order of the epoch is made from.
        return np.random.default_rng([self.plan.seed, epoch, step, 1])

    def _as_they_are(self, chosen, width):
        inputs = padded(self.examples, chosen, width, self.pad_id)
        for name, values in self.extras.items():
            inputs[name] = laid_out(self.examples, chosen, width, values, 0)
        if self.labels is None:
            return inputs
        if self.per_token:
            return inputs, laid_out(self.examples, chosen, width, self.labels, IGNORED)
        return inputs, self.labels[chosen]


def stand_in(spec):
    """A batch of two rows of two zeros."""
    import tensorflow as tf

    def zeros(described):
        shape = [2 if size is None else size for size in described.shape]
        return tf.zeros(shape, described.dtype)

    return tf.nest.map_structure(zeros, spec)


def laid_out(examples, chosen, width, values, fill) -> np.ndarray:
    """Values of tokens (tokens,) as the rows of a batch, (chosen, width)."""
    columns = np.arange(width, dtype="int64")
    real = columns < examples.lengths[chosen][:, None]
    places = np.where(real, examples.starts[chosen][:, None] + columns, 0)
    return np.where(real, values[places], np.asarray(fill, values.dtype))


def _open_spec(array):
    """The array's spec, rows and tokens of any number."""
    import tensorflow as tf

    inner = (*array.shape[1:-1], None) if array.ndim > 1 else ()
    return tf.TensorSpec((None, *inner), array.dtype)


def padded(examples, chosen: np.ndarray, width: int, pad_id: int) -> dict:
    """Model inputs of the `chosen` examples, int32 (chosen, [columns,] width)."""
    if isinstance(examples, TextColumns):
        parts = [padded(part, chosen, width, pad_id) for part in examples.columns]
        return {name: np.stack([p[name] for p in parts], axis=1) for name in parts[0]}
    columns = np.arange(width, dtype="int64")
    real = columns < examples.lengths[chosen][:, None]
    inputs = {
        "input_ids": laid_out(examples, chosen, width, examples.ids, pad_id),
        "attention_mask": real.astype("int32"),
    }
    if examples.second_starts is not None:
        second = columns >= examples.second_starts[chosen][:, None]
        inputs["token_type_ids"] = (real & second).astype("int32")
    return inputs
