"""Drop activations at random while training.

The one dropout of the package. Random numbers are most of its cost, so on TensorFlow
one 32-bit number decides for two places: shares are kept to 1 / 65,536.

Source: Srivastava et al. 2014, "Dropout: a simple way to prevent overfitting".
"""

import keras


class Dropout(keras.layers.Dropout):
    """Zero a share of the inputs while training and scale up the rest."""

    def call(self, inputs, training=False):
        """Drop, if training."""
        if not training or not self.rate:
            return inputs
        if keras.backend.backend() != "tensorflow":
            return super().call(inputs, training=True)
        from kerasft.layers.dropout_tensorflow import drop

        return drop(inputs, self.rate, self.seed_generator.next())

    def of_shape(self, shape):
        """A function that drops the same places of such tensors each time.

        On TensorFlow alone.
        """
        if not self.rate:
            return lambda inputs: inputs
        from kerasft.layers.dropout_tensorflow import kept_places, without

        kept = kept_places(shape, self.rate, self.seed_generator.next())
        return lambda inputs: without(inputs, kept, self.rate)
