"""The small network of a bottleneck adapter, and what it is given.

`A(x) = f(xD + d)U + u`: D (width, narrow) narrows, U (narrow, width) widens.

Source: Houlsby et al. 2019 (arXiv:1902.00751), section 2.1.
"""

import abc
import math

import keras
from keras import ops

from kerasft.layers.activation import ACTIVATIONS
from kerasft.layers.dropout import Dropout
from kerasft.layers.initializer import cut_normal, normal

SCALES = ("learned", "channel")


def _near_root(shape, dtype=None):
    reach = 1 / math.sqrt(shape[0])
    return keras.random.uniform(shape, -reach, reach, dtype=dtype)


# How D and U begin; d and u are zeros.
INITS = {
    "bert": (normal(0.02), normal(0.02)),
    "houlsby": (cut_normal(0.01, 2.0), cut_normal(0.01, 2.0)),
    "mam_adapter": (_near_root, "zeros"),
}


class Bottleneck(keras.layers.Layer, abc.ABC):
    """What stands at one part of a block.

    Args:
        width: of what goes through.
        narrow: width in between.
        method: the `BottleneckMethod`.
    """

    def __init__(self, width, narrow, method, **kwargs):
        super().__init__(**kwargs)
        self.activation = ACTIVATIONS[method.activation]
        self.dropout = Dropout(method.dropout, dtype=self.dtype_policy, name="dropout")
        first, second = INITS[method.init]
        self.down = self.add_weight((width, narrow), first, name="down")
        self.down_bias = self.add_weight((narrow,), "zeros", name="down_bias")
        self.up = self.add_weight((narrow, width), second, name="up")
        self.up_bias = self.add_weight((width,), "zeros", name="up_bias")
        self.scaling = method.scaling
        if method.scaling in SCALES:
            shape = (1,) if method.scaling == "learned" else (width,)
            self.scaling = self.add_weight(shape, "ones", name="scaling")
        self.built = True

    def call(self, outputs, inputs, norm=None, training=None):
        """The outputs of the part with the adapter's added.

        Args:
            outputs: (batch, length, width), of the part.
            inputs: what they will be added to, of the same shape.
            norm: the norm of that sum, or None.
            training: whether to drop.
        """
        hidden = ops.matmul(self.seen(outputs, inputs, norm), self.down)
        hidden = self.activation(hidden + self.down_bias)
        change = (ops.matmul(hidden, self.up) + self.up_bias) * self.scaling
        return outputs + self.dropout(change, training=training)

    @abc.abstractmethod
    def seen(self, outputs, inputs, norm):
        """What the adapter is given."""

    def tensors(self):
        """Its part of the file."""
        yield "adapter_down.0.weight", self.down, True
        yield "adapter_down.0.bias", self.down_bias, False
        yield "adapter_up.weight", self.up, True
        yield "adapter_up.bias", self.up_bias, False
        if isinstance(self.scaling, keras.Variable):
            yield "scaling", self.scaling, False


class BehindPart(Bottleneck):
    """It is given what the part gives."""

    def seen(self, outputs, inputs, norm):
        """Outputs."""
        return outputs


class BehindSum(Bottleneck):
    """It is given the normalised sum."""

    def seen(self, outputs, inputs, norm):
        """Outputs and inputs."""
        total = outputs + inputs
        return total if norm is None else norm(total)


class Beside(Bottleneck):
    """It is given what the part's outputs are added to."""

    def seen(self, outputs, inputs, norm):
        """Inputs."""
        return inputs
