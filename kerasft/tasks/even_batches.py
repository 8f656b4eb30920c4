"""Batches whose rows divide by the devices that share them.

`keras.distribution` splits the rows of each batch evenly, and fails where they do not
divide. So the last row is repeated as often as need be, with weight 0, and with labels
of -100 where the loss skips those: loss, metrics and gradients stay what they were.
`predict` cuts such rows off again.

The trap: a batch without weights gets some, all 1, for Keras wants every batch of a
pass to have the same parts.
"""

from types import GeneratorType

import keras
import numpy as np
from keras import tree

from kerasft._errors import SettingsError
from kerasft.tasks.arguments import raise_if_outside
from kerasft.tasks.even_rows import (
    as_arrays,
    even_batch,
    padded,
    rows_of,
    without_none,
)
from kerasft.tasks.numpy_batches import batches_of


class Mapped(keras.utils.PyDataset):
    """Another `PyDataset`, each batch of it changed.

    Args:
        source: the other one.
        function: of a batch.
    """

    def __init__(self, source, function):
        super().__init__(
            workers=source.workers,
            use_multiprocessing=source.use_multiprocessing,
            max_queue_size=source.max_queue_size,
        )
        self.source = source
        self.function = function

    @property
    def num_batches(self):
        """As many as the other one has."""
        return self.source.num_batches

    def __getitem__(self, index):
        """A batch, changed."""
        return self.function(self.source[index])

    def on_epoch_begin(self):
        """Pass it on."""
        self.source.on_epoch_begin()

    def on_epoch_end(self):
        """Pass it on."""
        self.source.on_epoch_end()


class EvenBatches(Mapped):
    """Batches whose rows divide by the devices."""


class ArrayBatches(keras.utils.PyDataset):
    """Batches of arrays.

    Args:
        arrays: inputs, labels and weights; None where there are none.
        batch_size: rows of a batch.
        shuffle: in another order each epoch, by NumPy's global seed, as Keras does.
    """

    def __init__(self, arrays, batch_size=None, shuffle=False):
        super().__init__()
        self.arrays = as_arrays(arrays)
        self.batch_size = batch_size or 32
        self.shuffle = shuffle
        self.order = np.arange(rows_of(self.arrays))
        self._shuffle()

    def __len__(self):
        return -(-len(self.order) // self.batch_size)

    def __getitem__(self, index):
        """Inputs, labels and weights, as far as there are any."""
        start = index * self.batch_size
        chosen = self.order[start : start + self.batch_size]
        return without_none(tree.map_structure(lambda a: a[chosen], self.arrays))

    def on_epoch_end(self):
        """Another order."""
        self._shuffle()

    def _shuffle(self):
        if self.shuffle:
            np.random.shuffle(self.order)


class PaddedInputs:
    """Inputs to predict on, with rows that fill up, and outputs without.

    Args:
        x: what `predict` takes.
        parts: what the rows of a batch shall divide by.
        batch_size: of arrays.
    """

    def __init__(self, x, parts, batch_size=None):
        self.source = source_of(x, None, None, batch_size)
        self.parts = parts
        self._kept = []

    @property
    def steps(self):
        """How many batches there are, or None where nobody knows."""
        try:
            return len(self.source)
        except TypeError:
            return None

    def batches(self):
        """Yield (inputs,) of each batch."""
        tensors = is_tensor_dataset(self.source)
        for batch in self.source.as_numpy_iterator() if tensors else self.source:
            x, _, _ = keras.utils.unpack_x_y_sample_weight(as_arrays(batch))
            rows = rows_of(x)
            x = padded(x, self.parts)
            self._kept.append(np.arange(rows_of(x)) < rows)
            yield (own_share(x),)

    def cut(self, outputs):
        """Outputs without those of the rows that filled up."""
        kept = np.concatenate(self._kept)
        return tree.map_structure(lambda o: o[kept[: len(o)]], outputs)


def source_of(x, y, weights, batch_size=None, shuffle=False):
    """What batches come from: a dataset or generator as it is, arrays in batches.

    Raises:
        SettingsError: data of another kind.
    """
    streams = keras.utils.PyDataset | GeneratorType
    if isinstance(x, streams) or is_tensor_dataset(x):
        return x
    if hasattr(x, "__next__") or hasattr(x, "dataset"):
        raise SettingsError(
            f"{type(x).__name__} cannot be split over several devices. Give "
            "task.dataset(...), a tf.data.Dataset, a keras.utils.PyDataset, a Python "
            "generator or arrays; or train on one device: kerasft.strategy('one')."
        )
    return ArrayBatches((x, y, weights), batch_size, shuffle)


def evened(source, parts, skips):
    """Batches whose rows divide by `parts`, all with weights.

    Args:
        source: as of `source_of`.
        parts: devices that share the rows.
        skips: whether the loss skips labels of -100.
    """

    def even(batch):
        unpacked = keras.utils.unpack_x_y_sample_weight(as_arrays(batch))
        return own_share(without_none(even_batch(unpacked, parts, skips)))

    if isinstance(source, GeneratorType):
        return (even(batch) for batch in source)
    if isinstance(source, keras.utils.PyDataset):
        return EvenBatches(source, even)
    from kerasft.data.even_tensors import evened as evened_tensors

    return evened_tensors(source, parts, skips, place_among_processes())


def place_among_processes():
    """Which one of how many processes that share the rows of a batch this is."""
    found = keras.distribution.distribution()
    if found is None:
        return 0, 1
    return found.data_shard_id, min(found.num_processes, found.num_model_replicas)


def own_share(batch):
    """The rows of a batch that this process feeds: all, where it is the only one."""
    number, count = place_among_processes()

    def share(array):
        size = array.shape[0] // count
        return array[number * size :][:size]

    return batch if count == 1 else tree.map_structure(share, batch)


def is_tensor_dataset(data) -> bool:
    """Whether this is a `tf.data.Dataset`, without loading TensorFlow."""
    return hasattr(data, "element_spec") and hasattr(data, "as_numpy_iterator")


def checked(data, vocab_size):
    """The data, its ids checked batch by batch, where they come as batches.

    While it runs, a batch with others raises a `DataError`; of a `tf.data.Dataset`, an
    error of TensorFlow's.
    """
    if batches_of(data) is not None or isinstance(data, Mapped):
        return data  # Ours, or checked.

    def check(batch):
        raise_if_outside(as_arrays(batch), vocab_size)
        return batch

    if isinstance(data, GeneratorType):
        return (check(batch) for batch in data)
    if isinstance(data, keras.utils.PyDataset):
        return Mapped(data, check)
    if is_tensor_dataset(data):
        from kerasft.tasks.step_tensorflow import prepared

        return prepared(data, vocab_size)
    return data
