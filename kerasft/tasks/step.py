"""Which train step a task uses: ours on TensorFlow, Keras' own elsewhere."""

import keras

if keras.backend.backend() == "tensorflow":
    from kerasft.tasks.step_tensorflow import (
        TrainStep,
        batches_of,
        prepared,
        refuse_foreign_clipping,
    )
else:
    from kerasft._errors import SettingsError

    class OneDevice:
        """What is asked of a strategy; Keras has real ones on TensorFlow alone."""

        num_replicas_in_sync = 1
        cluster_resolver = None

    class TrainStep:
        """Keras' own step, which is right on this backend; no micro batches."""

        distribute_strategy = OneDevice()

        @property
        def micro_batches(self):
            """Parts of a batch; always 1 here."""
            return 1

        @micro_batches.setter
        def micro_batches(self, value):
            if value != 1:
                raise SettingsError(
                    "micro_batches needs the TensorFlow backend. Give the optimizer "
                    "gradient_accumulation_steps instead."
                )

        @property
        def item_loss(self):
            """The loss; not one that looks at two passes."""
            return self._item_loss

        @item_loss.setter
        def item_loss(self, loss):
            if getattr(loss, "passes", 1) > 1:
                raise SettingsError("rdrop_alpha needs the TensorFlow backend.")
            self._item_loss = loss

    def batches_of(data):
        """The `Batches` behind a dataset of ours, or None."""
        return getattr(data, "batches", None)

    def prepared(data, vocab_size):
        """Nothing to prepare."""
        return data

    def refuse_foreign_clipping(optimizer, replicas):
        """Nothing to refuse."""


__all__ = ["TrainStep", "batches_of", "prepared", "refuse_foreign_clipping"]
