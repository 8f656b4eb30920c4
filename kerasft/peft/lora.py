"""LoRA: a change of low rank beside a frozen matrix.

`y = xW + b + s · drop(x)AB` with A (in, rank) and B (rank, out), B zero at the start,
and s = alpha / rank, or alpha / √rank (rsLoRA).

Sources: Hu et al. 2021 (arXiv:2106.09685), sections 4.1 and 4.2; Kalajdzievski 2023
(arXiv:2312.03732), section 3; PiSSA: Meng et al. 2024 (arXiv:2404.02948), section 3.
"""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar, Literal

import keras
import numpy as np
from keras import ops

from kerasft._errors import CheckpointError, SettingsError
from kerasft.layers.dense import Dense, Embedding
from kerasft.layers.dropout import Dropout
from kerasft.peft.method import Method, Part, biases_of

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
        self.dropout = Dropout(dropout, name="dropout")
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
        change = ops.matmul(ops.matmul(inputs, self.lora_a), self.lora_b * self.scale)
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


@dataclass(frozen=True, kw_only=True)
class LoRA(Method):
    """Low-rank adaptation (Hu et al. 2021).

    Raises:
        SettingsError: numbers that cannot be.
    """

    rank: int = 8
    """Rank of each change."""
    alpha: float = 8
    """The change is scaled by alpha / rank."""
    dropout: float = 0.0
    """Share of the inputs dropped on the branch."""
    targets: str | tuple[str, ...] = "attention"
    """Layers: a preset (attention, attention-all, mlp, all-linear), names, or a regular
    expression that a whole name fits."""
    bias: Literal["none", "all", "lora_only"] = "none"
    """Which biases of the model are trained, too."""
    rslora: bool = False
    """Scale by alpha / √rank."""
    init: Literal["kaiming", "gaussian", "pissa"] = "kaiming"
    """How A begins; "pissa": both from the largest singular values of the matrix."""
    rank_pattern: Mapping[str, int] = field(default_factory=dict)
    """Name, or regular expression of its end -> another rank."""
    alpha_pattern: Mapping[str, float] = field(default_factory=dict)
    """The same of alpha."""
    layers: tuple[int, ...] | None = None
    """Numbers of the blocks that are adapted; None: all."""
    exclude: tuple[str, ...] = ()
    """Names of layers to leave out."""

    kind: ClassVar[str] = "lora"
    peft_type: ClassVar[str] = "LORA"
    learning_rate: ClassVar[float] = 5e-4

    def problems(self):
        """Yield what is wrong."""
        ranks = {"rank": self.rank, **self.rank_pattern}
        yield from (f"{n} is {r}; at least 1" for n, r in ranks.items() if r < 1)
        if not 0 <= self.dropout < 1:
            yield f"dropout is {self.dropout}; 0 to below 1"
        if self.init not in INITS:
            yield f"init is {self.init!r}; known: {', '.join(INITS)}"
        if self.bias not in ("none", "all", "lora_only"):
            yield f"bias is {self.bias!r}; known: none, all, lora_only"

    def scale_of(self, theirs):
        """Rank and scale at a place, by their name of it."""
        rank = int(_of_pattern(self.rank_pattern, theirs, self.rank))
        alpha = _of_pattern(self.alpha_pattern, theirs, self.alpha)
        return rank, alpha / (math.sqrt(rank) if self.rslora else rank)

    def parts(self, places):
        """One branch beside each target."""
        kinds = (Dense, Embedding)
        chosen = places.chosen(self.targets, kinds, self.layers, self.exclude)
        return [
            Part(p.path, p.theirs, p.layer, self._branch(p.layer, p.theirs))
            for p in chosen
        ]

    def _branch(self, host, theirs):
        rank, scale = self.scale_of(theirs)
        if isinstance(host, Embedding):
            return LowRankTable(host, rank, scale)
        return LowRank(host, rank, scale, self.dropout, self.init)

    def trained(self, places, parts):
        """All biases, those of the targets, or none."""
        if self.bias == "none":
            return {}
        if self.bias == "all":
            return biases_of(places)
        hosts = {id(part.host) for part in parts}
        return biases_of(places, [p for p in places.all if id(p.layer) in hosts])

    # --- files

    def content(self, adapter):
        """Fields of `LoraConfig`."""
        doubled = 2 if self.init == "pissa" else 1
        ranks = {part.theirs: part.layer.rank * doubled for part in adapter.parts}
        alphas = {
            part.theirs: _of_pattern(self.alpha_pattern, part.theirs, self.alpha)
            * (math.sqrt(doubled) if self.rslora else doubled)
            for part in adapter.parts
        }
        rank, alpha = _usual(ranks), _usual(alphas)
        return {
            **LORA_FIELDS,
            "r": rank,
            "lora_alpha": _whole(alpha),
            "lora_dropout": self.dropout,
            "target_modules": adapter.modules(),
            "bias": self.bias,
            "use_rslora": self.rslora,
            "use_dora": False,
            "init_lora_weights": "gaussian" if self.init == "gaussian" else True,
            "rank_pattern": {k: v for k, v in ranks.items() if v != rank},
            "alpha_pattern": {k: _whole(v) for k, v in alphas.items() if v != alpha},
            "fan_in_fan_out": adapter.stored_as_is,
        }

    @classmethod
    def from_content(cls, content):
        """From a `LoraConfig`."""
        refuse_unknown(content, LORA_REFUSED)
        init = content.get("init_lora_weights", True)
        layers = content.get("layers_to_transform")
        return cls(
            rank=content.get("r", 8),
            alpha=content.get("lora_alpha", 8),
            dropout=content.get("lora_dropout", 0.0),
            targets=targets_from(content),
            bias=content.get("bias", "none"),
            rslora=content.get("use_rslora", False),
            init="gaussian" if init == "gaussian" else "kaiming",
            rank_pattern=content.get("rank_pattern") or {},
            alpha_pattern=content.get("alpha_pattern") or {},
            layers=(layers,) if isinstance(layers, int) else layers and tuple(layers),
            exclude=tuple(content.get("exclude_modules") or ()),
        )

    def tensors(self, adapter):
        """As they are; of PiSSA the change alone, which has twice the rank."""
        for part in adapter.parts:
            key = f"base_model.model.{part.theirs}."
            if getattr(part.layer, "start", None) is None:
                for end, weight, _ in part.layer.tensors():
                    yield key + end, ops.convert_to_numpy(weight).T
            else:
                first, second = part.layer.factors()
                yield key + "lora_A.weight", first.T
                yield key + "lora_B.weight", second.T


# Fields of `LoraConfig` that no setting of ours changes; as peft 0.21.2 writes them.
LORA_FIELDS = {
    "alora_invocation_tokens": None,
    "arrow_config": None,
    "corda_config": None,
    "ensure_weight_tying": False,
    "eva_config": None,
    "exclude_modules": None,
    "kasa_config": None,
    "layer_replication": None,
    "layers_pattern": None,
    "layers_to_transform": None,
    "loftq_config": {},
    "lora_bias": False,
    "lora_ga_config": None,
    "megatron_config": None,
    "megatron_core": "megatron.core",
    "monteclora_config": None,
    "qalora_group_size": 16,
    "target_parameters": None,
    "trainable_token_indices": None,
    "use_bdlora": None,
    "use_qalora": False,
    "velora_config": None,
}
# Those that ask for another formula if they are set.
LORA_REFUSED = (
    "alora_invocation_tokens",
    "arrow_config",
    "kasa_config",
    "layer_replication",
    "layers_pattern",
    "lora_bias",
    "megatron_config",
    "monteclora_config",
    "target_parameters",
    "trainable_token_indices",
    "use_bdlora",
    "use_qalora",
    "velora_config",
)


def refuse_unknown(content, names):
    """Refuse fields that are set and mean what is not done here.

    Raises:
        CheckpointError: there are such.
    """
    found = [name for name in names if content.get(name)]
    if found:
        raise CheckpointError(
            f"adapter_config.json: {', '.join(found)} is set, which kerasft does not "
            "know how to run. Make the adapter without it."
        )


def targets_from(content):
    """`targets` of a config's `target_modules`.

    Raises:
        CheckpointError: it is neither a word nor a list of words.
    """
    found = content.get("target_modules")
    if isinstance(found, str):
        return found
    if isinstance(found, list) and all(isinstance(name, str) for name in found):
        return tuple(found)
    raise CheckpointError(
        "adapter_config.json: target_modules should be a name, a pattern or a list of "
        f"names; it is {found!r}."
    )


def sizes_of(host):
    """Width of a linear layer's input, and of its output."""
    return host.input_spec.axes[-1], host.units


def kernel_of(host):
    """The kernel as a float32 array.

    Raises:
        SettingsError: it is there in integers alone.
    """
    if host.quantization_mode is not None:
        raise SettingsError(
            f"{host.name} is quantised ({host.quantization_mode}), and this start "
            "needs its numbers. Add the adapter first, or take another init."
        )
    return ops.convert_to_numpy(host.kernel)


def policy_of(host):
    """Policy for the weights beside a layer: float32, computed as the layer does."""
    compute = host.compute_dtype
    return "float32" if compute == "float32" else f"mixed_{compute}"


def _first(init):
    """How A begins: uniform within ±1/√in, or N(0, 1/rank²)."""
    if init == "gaussian":
        return lambda shape, dtype=None: keras.random.normal(
            shape, 0.0, 1.0 / shape[1], dtype=dtype
        )
    return lambda shape, dtype=None: keras.random.uniform(
        shape, -1 / math.sqrt(shape[0]), 1 / math.sqrt(shape[0]), dtype=dtype
    )


def _of_pattern(patterns, theirs, usual):
    """Value of the first pattern that the end of a name fits, as peft has it."""
    for pattern, value in patterns.items():
        if re.fullmatch(rf"(.*\.)?({pattern})", theirs):
            return value
    return usual


def _usual(values):
    """The value that most names have."""
    every = list(values.values())
    return max(every, key=every.count)


def _whole(number):
    return int(number) if float(number).is_integer() else number
