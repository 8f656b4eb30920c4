"""The linear layer and the table that all models are made of.

They are Keras' own, with a place where an adapter can stand: it is given the inputs
and the layer, and answers in its stead. So nothing has to be swapped to adapt a model,
and the weights below keep their paths.
"""

import keras
from keras import ops

from kerasft.layers.remade import changed


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
        return self.call(inputs, training)

    def plain(self, inputs):
        """What the layer gives without an adapter."""
        if self.quantization_mode is None:
            return super().call(inputs)
        return super().quantized_call(inputs)


class Dense(Adaptable, keras.layers.Dense):
    """`keras.layers.Dense`, open to an adapter.

    On TensorFlow a batch of texts, (batch, length, width), is laid out as rows first,
    once for the layer and its adapter: a product over three axes is a larger graph.
    """

    def call(self, inputs, training=None):
        """The adapter's answer, or else the layer's own, for each token."""
        if keras.backend.backend() != "tensorflow" or len(inputs.shape) != 3:
            return super().call(inputs, training)
        _, length, width = inputs.shape
        if length is None:
            length = ops.shape(inputs)[1]
        rows = changed(inputs, lambda tensor: ops.reshape(tensor, (-1, width)))
        outputs = super().call(rows, training)
        return ops.reshape(outputs, (-1, length, self.units))


class Embedding(Adaptable, keras.layers.Embedding):
    """`keras.layers.Embedding`, open to an adapter."""
