"""The linear layer and the table that all models are made of.

They are Keras' own, with a place where an adapter can stand: it is given the inputs
and the layer, and answers in its stead. So nothing has to be swapped to adapt a model,
and the weights below keep their paths.
"""

import keras


class Adaptable:
    """Mixin of a Keras layer: its formula, or that of the adapter that stands there."""

    adapter = None

    def call(self, inputs, training=None):
        """The adapter's answer, or else the layer's own."""
        if self.adapter is None:
            return self.plain(inputs)
        return self.adapter(inputs, host=self, training=training)

    def quantized_call(self, inputs, training=None):
        """The same with integer weights."""
        return Adaptable.call(self, inputs, training)

    def plain(self, inputs):
        """What the layer gives without an adapter."""
        if self.quantization_mode is None:
            return super().call(inputs)
        return super().quantized_call(inputs)


class Dense(Adaptable, keras.layers.Dense):
    """`keras.layers.Dense`, open to an adapter."""


class Embedding(Adaptable, keras.layers.Embedding):
    """`keras.layers.Embedding`, open to an adapter."""
