"""IA3: learned factors of keys, values and what the MLP narrows.

Outputs of keys and values are multiplied by a vector, inputs of the MLP's last layer
by another; both begin as ones.

Source: Liu et al. 2022 (arXiv:2205.05638), section 3.3.
"""

from dataclasses import dataclass
from typing import ClassVar

import keras
from keras import ops

from kerasft._errors import CheckpointError
from kerasft.layers.dense import Dense
from kerasft.peft.hosts import policy_of, sizes_of
from kerasft.peft.lora_fields import targets_from
from kerasft.peft.method import Method, Part

# peft's "output.dense" of these fits the attention's last layer, too.
ALSO_O_PROJ = ("bert", "roberta", "xlm-roberta")
QUERIES_INSTEAD = ("qwen2", "qwen3")  # peft's own choice.


class Factors(keras.layers.Layer):
    """A factor for each output of a linear layer, or for each input.

    Args:
        host: the `Dense` that it changes.
        of_inputs: whether inputs are multiplied.
    """

    def __init__(self, host, of_inputs, **kwargs):
        super().__init__(dtype=policy_of(host), **kwargs)
        self.of_inputs = of_inputs
        size = sizes_of(host)[0 if of_inputs else 1]
        shape = (1, size) if of_inputs else (size, 1)
        self.ia3_l = self.add_weight(shape, "ones", name="ia3_l")
        self.built = True

    def call(self, inputs, host, training=None):
        """The layer's answer with the factors."""
        factors = ops.reshape(self.ia3_l, (-1,))
        if self.of_inputs:
            return host.plain(inputs * factors)
        return host.plain(inputs) * factors

    def merged(self, kernel, bias):
        """Kernel and bias of a layer that gives the same by itself."""
        factors = ops.convert_to_numpy(self.ia3_l).reshape(-1)
        if self.of_inputs:
            return kernel * factors[:, None], bias
        return kernel * factors, bias if bias is None else bias * factors

    def tensors(self):
        """Its part of the file."""
        yield "ia3_l", self.ia3_l, False


@dataclass(frozen=True, kw_only=True)
class IA3(Method):
    """Infused adapter by inhibiting and amplifying (Liu et al. 2022)."""

    targets: str | tuple[str, ...] | None = None
    """Layers, as of `LoRA`; None: keys, values and the MLP's last layer, as peft has
    them for the family."""
    feedforward: tuple[str, ...] | None = None
    """Those among them whose inputs are multiplied; None: the MLP's last layer (with
    `targets` of None, what peft has for the family)."""

    kind: ClassVar[str] = "ia3"
    peft_type: ClassVar[str] = "IA3"
    learning_rate: ClassVar[float] = 5e-3

    def parts(self, places):
        """Factors for each target."""
        targets, inward = self._usual(places)
        chosen = places.chosen(targets, (Dense,))
        parts = [
            Part(
                place.path,
                place.theirs,
                place.layer,
                Factors(place.layer, any(place.is_called(name) for name in inward)),
            )
            for place in chosen
        ]
        return parts

    def _usual(self, places):
        """Targets, and names of those that are multiplied on their inputs."""
        kind = places.family.model_type
        if self.targets is not None:
            inward = ("down_proj",) if self.feedforward is None else self.feedforward
            return self.targets, inward
        inward = ("down_proj", "o_proj") if kind in ALSO_O_PROJ else ("down_proj",)
        outward = ("k_proj", "v_proj", "qkv_proj")
        if kind in QUERIES_INSTEAD:
            outward = ("q_proj", "v_proj")
        names = {place.name for place in places.in_blocks(outward + inward)}
        inward = self.feedforward or tuple(
            f"mlp/{n}" if n == "down_proj" else n for n in inward
        )
        return tuple(sorted(names)), inward

    def content(self, adapter):
        """Fields of `IA3Config`."""
        inward = [part for part in adapter.parts if part.layer.of_inputs]
        return {
            "target_modules": adapter.modules(),
            "feedforward_modules": adapter.modules(inward) if inward else [],
            "exclude_modules": None,
            "fan_in_fan_out": adapter.stored_as_is,
            "init_ia3_weights": True,
        }

    @classmethod
    def from_content(cls, content):
        """From an `IA3Config`."""
        inward = content.get("feedforward_modules") or ()
        if isinstance(inward, str):
            inward = (inward,)
        if not all(isinstance(name, str) for name in inward):
            raise CheckpointError(
                "adapter_config.json: feedforward_modules should be names; it is "
                f"{content['feedforward_modules']!r}."
            )
        return cls(targets=targets_from(content), feedforward=tuple(inward))
