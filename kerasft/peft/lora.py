"""LoRA: a change of low rank beside a frozen matrix.

`y = xW + b + s · drop(x)AB` with A (in, rank) and B (rank, out), B zero at the start,
and s = alpha / rank, or alpha / √rank (rsLoRA).

Sources: Hu et al. 2021 (arXiv:2106.09685), sections 4.1 and 4.2; Kalajdzievski 2023
(arXiv:2312.03732), section 3.
"""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar, Literal

from keras import ops

from kerasft.layers.dense import Dense, Embedding
from kerasft.peft.lora_fields import (
    LORA_FIELDS,
    LORA_REFUSED,
    refuse_unknown,
    targets_from,
)
from kerasft.peft.low_rank import INITS, LowRank, LowRankTable
from kerasft.peft.method import Method, Part, biases_of, by_width


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
    learning_rate: ClassVar[float] = 1e-3
    """Of a model 768 wide, such as BERT-base."""

    def rate_for(self, width):
        """See `by_width`.

        So a model 4,096 wide has 1.9e-4, where QLoRA's authors took 2e-4 (Dettmers et
        al. 2023, arXiv:2305.14314, appendix B).
        """
        return by_width(self.learning_rate, width)

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
