"""Changes of low rank of a linear layer, and of an embedding's table.

Sources: Hu et al. 2021 (arXiv:2106.09685), section 4.1; PiSSA: Meng et al. 2024
(arXiv:2404.02948), section 3.
"""

import math

import keras
import numpy as np
from keras import ops

from kerasft.layers.dropout import Dropout
from kerasft.layers.gradient import with_gradient
from kerasft.layers.remade import remade
from kerasft.peft.hosts import kernel_of, policy_of, sizes_of

INITS = ("kaiming", "gaussian", "pissa")


class LowRank(keras.layers.Layer):
    """The change of one linear layer.

    Args:
        host: the `Dense` that it changes.
        rank: of the change.
        scale: factor of the change.
        dropout: share of the inputs dropped on this branch alone.
        init: one of `INITS`.
    """

    def __init__(self, host, rank, scale, dropout=0.0, init="kaiming", **kwargs):
        super().__init__(dtype=policy_of(host), **kwargs)
        self.rank, self.scale = rank, scale
        self.dropout = Dropout(dropout, name="dropout", dtype=self.dtype_policy)
        width, units = sizes_of(host)
        self.lora_a = self.add_weight((width, rank), _first(init), name="lora_a")
        self.lora_b = self.add_weight((rank, units), "zeros", name="lora_b")
        self.start = None
        if init == "pissa":
            self._begin_with_largest(host)
        self.built = True

    def _begin_with_largest(self, host):
        """A and B from the largest singular values; what they begin with counts not."""
        left, values, right = np.linalg.svd(kernel_of(host), full_matrices=False)
        roots = np.sqrt(values[: self.rank] / self.scale)
        self.lora_a.assign(left[:, : self.rank] * roots)
        self.lora_b.assign(roots[:, None] * right[: self.rank])
        self.start = [
            self.add_weight(
                weight.shape, "zeros", trainable=False, name=f"start_{name}"
            )
            for name, weight in (("a", self.lora_a), ("b", self.lora_b))
        ]
        self.start[0].assign(self.lora_a)
        self.start[1].assign(self.lora_b)

    def call(self, inputs, host, training=None):
        """The layer's answer and the change of it."""
        return host.plain(inputs) + self._change(inputs, training)

    def _change(self, inputs, training):
        inputs = self.dropout(inputs, training=training)
        change = _product(inputs, self.lora_a, self.lora_b * self.scale)
        if self.start is not None:
            first, second = self.start
            change -= ops.matmul(ops.matmul(inputs, first), second * self.scale)
        return change

    def factors(self):
        """A and B of the whole change, float32 arrays, without the scale."""
        first, second = (ops.convert_to_numpy(w) for w in (self.lora_a, self.lora_b))
        if self.start is None:
            return first, second
        begun, ended = map(ops.convert_to_numpy, self.start)
        return np.hstack([first, begun]), np.vstack([second, -ended])

    def merged(self, kernel, bias):
        """Kernel and bias of a layer that gives the same by itself."""
        first, second = self.factors()
        return kernel + self.scale * (first @ second), bias

    def tensors(self):
        """Its part of the file; of PiSSA see `LoRA.tensors`."""
        yield "lora_A.weight", self.lora_a, True
        yield "lora_B.weight", self.lora_b, True


class LowRankTable(keras.layers.Layer):
    """The change of an embedding's table: the row of a token and `s · A[id] B`.

    Args:
        host: the `Embedding` that it changes.
        rank: of the change.
        scale: factor of the change.
    """

    def __init__(self, host, rank, scale, **kwargs):
        super().__init__(dtype=policy_of(host), **kwargs)
        self.rank, self.scale = rank, scale
        rows, width = host.input_dim, host.output_dim
        normal = keras.initializers.RandomNormal(0.0, 1.0)
        self.lora_a = self.add_weight((rows, rank), "zeros", name="lora_a")
        self.lora_b = self.add_weight((rank, width), normal, name="lora_b")
        self.built = True

    def call(self, inputs, host, training=None):
        """The layer's answer and the change of it."""
        chosen = ops.take(self.lora_a, ops.cast(inputs, "int32"), axis=0)
        return host.plain(inputs) + ops.matmul(chosen, self.lora_b * self.scale)

    def factors(self):
        """A and B, float32 arrays, without the scale."""
        return tuple(ops.convert_to_numpy(w) for w in (self.lora_a, self.lora_b))

    def merged(self, kernel, bias):
        """The table that gives the same by itself; an embedding has no bias."""
        first, second = self.factors()
        return kernel + self.scale * (first @ second), bias

    def tensors(self):
        """Its part of the file."""
        yield "lora_embedding_A", self.lora_a, True
        yield "lora_embedding_B", self.lora_b, True


def _product(inputs, first, second):
    """`inputs @ first @ second`, which keeps no inputs that can be made again.

    Args:
        inputs: (..., width).
        first, second: (width, rank) and (rank, units).
    """
    if keras.backend.backend() != "tensorflow" or len(inputs.shape) != 2:
        return ops.matmul(ops.matmul(inputs, first), second)

    @with_gradient
    def product(rows, first, second):
        inner = ops.matmul(rows, first)

        def gradient(upstream):
            of_inner = ops.matmul(upstream, ops.transpose(second))
            rows = remade(inputs, of_inner)
            return (
                ops.matmul(of_inner, ops.transpose(first)),
                ops.matmul(ops.transpose(rows), of_inner),
                ops.matmul(ops.transpose(inner), upstream),
            )

        return ops.matmul(inner, second), gradient

    return product(inputs, first, second)


def _first(init):
    """How A begins: uniform within ±1/√in, or N(0, 1/rank²)."""
    if init == "gaussian":
        return lambda shape, dtype=None: keras.random.normal(
            shape, 0.0, 1.0 / shape[1], dtype=dtype
        )
    return lambda shape, dtype=None: keras.random.uniform(
        shape, -1 / math.sqrt(shape[0]), 1 / math.sqrt(shape[0]), dtype=dtype
    )
