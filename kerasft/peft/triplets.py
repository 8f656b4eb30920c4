"""A change of a linear layer as a sum of weighted pairs: A diag(E) B.

Source: Zhang et al. 2023 (arXiv:2303.10512), section 3.1.
"""

import keras
from keras import ops

from kerasft.layers.dropout import Dropout
from kerasft.peft.hosts import policy_of, sizes_of


class Triplets(keras.layers.Layer):
    """The change of one linear layer, as a sum of weighted pairs.

    Args:
        host: the `Dense` that it changes.
        rank: how many triplets there are.
        alpha: the change is scaled by alpha / rank.
        dropout: share of the inputs dropped on this branch alone.
    """

    def __init__(self, host, rank, alpha, dropout=0.0, **kwargs):
        super().__init__(dtype=policy_of(host), **kwargs)
        self.rank, self.scale = rank, alpha / (rank + 1e-5)
        self.dropout = Dropout(dropout, name="dropout")
        width, units = sizes_of(host)
        normal = keras.initializers.RandomNormal(0.0, 0.02)
        self.lora_a = self.add_weight((width, rank), normal, name="lora_a")
        self.lora_e = self.add_weight((rank, 1), "zeros", name="lora_e")
        self.lora_b = self.add_weight((rank, units), normal, name="lora_b")
        # Which triplets the last look at the budget has kept: 1 or 0.
        self.kept = self.add_weight((rank,), "ones", trainable=False, name="kept")
        self.built = True

    def call(self, inputs, host, training=None):
        """The layer's answer and the change of it."""
        inner = ops.matmul(self.dropout(inputs, training=training), self.lora_a)
        weighed = inner * (ops.reshape(self.lora_e, (-1,)) * self.scale)
        return host.plain(inputs) + ops.matmul(weighed, self.lora_b)

    def penalty(self):
        """How far A and B are from orthogonal: two Frobenius norms."""
        unit = ops.eye(self.rank)
        first = ops.matmul(ops.transpose(self.lora_a), self.lora_a)
        second = ops.matmul(self.lora_b, ops.transpose(self.lora_b))
        return ops.norm(first - unit) + ops.norm(second - unit)

    def merged(self, kernel, bias):
        """Kernel and bias of a layer that gives the same by itself."""
        first, middle, last = map(
            ops.convert_to_numpy, (self.lora_a, self.lora_e, self.lora_b)
        )
        return kernel + self.scale * ((first * middle.T) @ last), bias

    def tensors(self):
        """Its weights as they are in a file without a pattern."""
        yield "lora_A", self.lora_a, True
        yield "lora_E", self.lora_e, False
        yield "lora_B", self.lora_b, True
