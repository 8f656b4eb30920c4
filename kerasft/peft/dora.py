"""DoRA: a change of low rank in direction, and each output's length by itself.

`W' = m ⊙ V / ‖V‖` with `V = W + s·AB`, norms over the inputs of each output, which are
not differentiated; m begins as ‖W‖, so nothing is changed at the start.

Source: Liu et al. 2024 (arXiv:2402.09353), sections 4.2 and 4.3.
"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from keras import ops

from kerasft._errors import SettingsError
from kerasft.layers.dense import Embedding
from kerasft.peft.lora import LoRA
from kerasft.peft.low_rank import LowRank


class Decomposed(LowRank):
    """As `LowRank`, with a length for each output."""

    def __init__(self, host, rank, scale, dropout=0.0, init="kaiming", **kwargs):
        super().__init__(host, rank, scale, dropout, init, **kwargs)
        self.magnitude = self.add_weight((host.units,), "ones", name="magnitude")
        self.magnitude.assign(self._lengths(host))

    def call(self, inputs, host, training=None):
        """The layer with its weights turned and stretched."""
        bias = host.bias
        outputs = host.plain(inputs)
        stretch = self.magnitude / ops.stop_gradient(self._lengths(host))
        stretch = ops.cast(stretch, outputs.dtype)
        change = stretch * self._change(inputs, training)
        if self.dropout.rate and training:
            # What is stretched is what was not dropped.
            kept = host.plain(self.dropout(inputs, training=True))
            kept = kept if bias is None else kept - ops.cast(bias, kept.dtype)
            return outputs + (stretch - 1) * kept + change
        if bias is None:
            return stretch * outputs + change
        bias = ops.cast(bias, outputs.dtype)
        return stretch * (outputs - bias) + bias + change

    def _lengths(self, host):
        """Norms of V, (units,) float32, without making V: it has W's size.

        |W + s·AB|² = |W|² + 2s·Σ B∘(AᵀW) + s²·Σ B∘(AᵀA B), summed over the inputs.
        """
        kernel = ops.cast(host.kernel, "float32")
        first, second = (ops.cast(w, "float32") for w in (self.lora_a, self.lora_b))
        second = second * self.scale
        crossed = ops.matmul(ops.transpose(first), kernel)
        squared = ops.matmul(ops.matmul(ops.transpose(first), first), second)
        square = ops.sum(kernel * kernel, axis=0)
        return ops.sqrt(square + ops.sum(second * (2 * crossed + squared), axis=0))

    def merged(self, kernel, bias):
        """Kernel and bias of a layer that gives the same by itself."""
        turned, bias = super().merged(kernel, bias)
        lengths = np.linalg.norm(turned, axis=0)
        return turned * (ops.convert_to_numpy(self.magnitude) / lengths), bias

    def tensors(self):
        """Its part of the file."""
        yield from super().tensors()
        yield "lora_magnitude_vector", self.magnitude, False


@dataclass(frozen=True, kw_only=True)
class DoRA(LoRA):
    """Weight-decomposed low-rank adaptation (Liu et al. 2024); settings of `LoRA`."""

    kind: ClassVar[str] = "dora"
    needs_kernels: ClassVar[bool] = True

    def problems(self):
        """Yield what is wrong."""
        yield from super().problems()
        if self.init == "pissa":
            yield "init 'pissa' goes with LoRA alone"

    def _branch(self, host, theirs):
        if isinstance(host, Embedding):
            raise SettingsError(
                f"DoRA works on linear layers; {theirs} is an embedding. Take LoRA."
            )
        if host.quantization_mode is not None:
            raise SettingsError(
                "DoRA needs the numbers of the frozen matrices, which are quantised "
                f"({host.quantization_mode}). Take LoRA."
            )
        return Decomposed(host, *self.scale_of(theirs), self.dropout, self.init)

    @classmethod
    def fits(cls, content, reader):
        """A LoRA with `use_dora`."""
        return bool(content.get("use_dora"))

    def content(self, adapter):
        """Fields of `LoraConfig`."""
        return super().content(adapter) | {"use_dora": True}

    def tensors(self, adapter):
        """As they are."""
        return super(LoRA, self).tensors(adapter)
