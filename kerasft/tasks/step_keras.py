"""What stands in for our train step on backends that have none: Keras' own."""

from kerasft._errors import SettingsError
from kerasft.tasks.numpy_batches import NumpyBatches, batches_of


class OneDevice:
    """What is asked of a strategy; Keras has real ones on TensorFlow alone."""

    num_replicas_in_sync = 1
    cluster_resolver = None


class TrainStep:
    """Keras' own step: no micro batches."""

    distribute_strategy = OneDevice()

    def loss_sums(self):
        """What callbacks would watch a fit by.

        Raises:
            SettingsError: always.
        """
        raise SettingsError(
            "Callbacks can look at the loss between two steps on the TensorFlow and "
            "the JAX backend alone. Set KERAS_BACKEND, or leave out the callbacks "
            "kerasft.TensorBoard and kerasft.StopOnNaN."
        )

    def sync_variables(self):
        """Nothing to do."""

    @property
    def micro_batches(self):
        """Parts of a batch; always 1 here."""
        return 1

    @micro_batches.setter
    def micro_batches(self, value):
        if value != 1:
            raise SettingsError(
                "micro_batches needs the TensorFlow or the JAX backend. Give the "
                "optimizer gradient_accumulation_steps instead."
            )

    @property
    def item_loss(self):
        """The loss; not one that looks at two passes."""
        return self._item_loss

    @item_loss.setter
    def item_loss(self, loss):
        if getattr(loss, "passes", 1) > 1:
            raise SettingsError("rdrop_alpha needs the TensorFlow or the JAX backend.")
        self._item_loss = loss


def as_data(batches):
    """Batches as what `fit` takes."""
    return NumpyBatches(batches)


def prepared(data, vocab_size):
    """Nothing to prepare."""
    return data


def refuse_foreign_clipping(optimizer, replicas):
    """Nothing to refuse."""


__all__ = ["TrainStep", "as_data", "batches_of", "prepared", "refuse_foreign_clipping"]
