"""Our batches as NumPy arrays, for machines without TensorFlow."""

import keras

from kerasft.data.pipeline import Batches


class NumpyBatches(keras.utils.PyDataset):
    """What `Batches.dataset()` is, without tf.data.

    A pass begins at the epoch that `batches.epoch` says, and sets it one further.

    Args:
        batches: a `Batches`; it is the attribute `batches`, too.
    """

    def __init__(self, batches):
        super().__init__()
        self.batches = batches
        self._epoch = batches.epoch

    def __len__(self):
        return len(self.batches)

    def __getitem__(self, step):
        """Batch `step` of the pass: inputs, or (inputs, labels[, weights])."""
        if step == 0:
            self._epoch = self.batches.epoch
        return self.batches.arrays(self._epoch, step)

    def __iter__(self):
        """One pass, as of a `tf.data.Dataset`."""
        return (self[step] for step in range(len(self)))


def batches_of(data):
    """The `Batches` behind a dataset of ours, or None."""
    found = getattr(data, "batches", None)
    return found if isinstance(found, Batches) else None
