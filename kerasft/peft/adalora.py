"""AdaLoRA: low-rank changes that share one budget of ranks, the useful ones keep it.

`ΔW = A diag(E) B`, with A and B held near orthogonal by a penalty. While training, the
least important triplets of (column of A, E, row of B) get E = 0, until the budget has
fallen from `init_rank` to `target_rank` a matrix.

Source: Zhang et al. 2023 (arXiv:2303.10512), sections 3.1 to 3.3; numbers and files as
peft 0.21.2 has them.
"""

from dataclasses import dataclass
from typing import ClassVar

import keras
import numpy as np
from keras import ops

from kerasft._errors import CheckpointError, SettingsError
from kerasft.layers.dense import Dense
from kerasft.peft.budget import Budget
from kerasft.peft.lora_fields import (
    LORA_FIELDS,
    LORA_REFUSED,
    refuse_unknown,
    targets_from,
)
from kerasft.peft.method import Method, Part, by_width
from kerasft.peft.triplets import Triplets


@dataclass(frozen=True, kw_only=True)
class AdaLoRA(Method):
    """Adaptive budget allocation (Zhang et al. 2023). For TensorFlow and JAX.

    Raises:
        SettingsError: numbers that cannot be.
    """

    init_rank: int = 12
    """Rank of each change at the start."""
    target_rank: int = 8
    """Mean rank at the end."""
    alpha: float = 8
    """The change is scaled by alpha / init_rank."""
    dropout: float = 0.0
    """Share of the inputs dropped on the branch."""
    targets: str | tuple[str, ...] = "attention"
    """Layers, as of `LoRA`."""
    warmup_steps: int = 0
    """Steps before the budget begins to fall."""
    final_steps: int = 0
    """Last steps, in which the budget stays what it is."""
    every: int = 1
    """Steps between two looks at the budget."""
    beta1: float = 0.85
    """Decay of the mean importance."""
    beta2: float = 0.85
    """Decay of its mean uncertainty."""
    orthogonality: float = 0.5
    """Weight of the penalty in the loss."""
    total_steps: int | None = None
    """Steps of the run; None: `fit` fills it in."""

    kind: ClassVar[str] = "adalora"
    peft_type: ClassVar[str] = "ADALORA"
    learning_rate: ClassVar[float] = 1e-2
    """Of a model 768 wide. More than LoRA's: B begins at random, not at 0, and so E, by
    which all is multiplied, has to become large."""

    def rate_for(self, width):
        """See `by_width`."""
        return by_width(self.learning_rate, width)

    def problems(self):
        """Yield what is wrong."""
        if not 1 <= self.target_rank <= self.init_rank:
            yield (
                f"target_rank is {self.target_rank}, init_rank {self.init_rank}; 1 <= "
                "target_rank <= init_rank"
            )
        for name in ("beta1", "beta2"):
            if not 0 < getattr(self, name) < 1:
                yield f"{name} is {getattr(self, name)}; between 0 and 1"
        if self.every < 1:
            yield f"every is {self.every}; at least 1"
        if self.total_steps is not None:
            yield from self._too_short(self.total_steps)

    def _too_short(self, total):
        if self.warmup_steps >= total - self.final_steps:
            yield (
                f"warmup_steps {self.warmup_steps} and final_steps {self.final_steps} "
                f"leave no step of {total} for the budget to fall"
            )

    def parts(self, places):
        """Triplets beside each target.

        Raises:
            SettingsError: another backend than TensorFlow and JAX.
        """
        if keras.backend.backend() not in ("tensorflow", "jax"):
            raise SettingsError(
                "AdaLoRA looks at the gradients of each step, which the steps for the "
                "TensorFlow and the JAX backend alone hand out. Take LoRA."
            )
        rank, alpha, dropout = self.init_rank, self.alpha, self.dropout
        return [
            Part(p.path, p.theirs, p.layer, Triplets(p.layer, rank, alpha, dropout))
            for p in places.chosen(self.targets, (Dense,))
        ]

    # --- while training

    def keeper(self, parts):
        """What shares out the budget."""
        return Budget(self, [part.layer for part in parts])

    def begin_fit(self, adapter, total):
        """Tell the budget how long the run is.

        Raises:
            SettingsError: that is not known, or too short for its settings.
        """
        total = self.total_steps or total
        if total is None:
            raise SettingsError(
                "AdaLoRA has to know how many steps there are: give it total_steps, or "
                "fit steps_per_epoch."
            )
        if problems := list(self._too_short(total)):
            raise SettingsError(f"AdaLoRA: {problems[0]}.")
        adapter.keeper.total = total

    def penalty(self, adapter):
        """Mean distance of all A and B from orthogonal, weighed."""
        norms = [part.layer.penalty() for part in adapter.parts]
        return self.orthogonality * sum(norms) / (2 * len(norms))

    def follow_step(self, adapter, gradients):
        """Note what mattered, and share out the budget."""
        adapter.keeper.step(gradients)

    # --- files

    def content(self, adapter):
        """Fields of `AdaLoraConfig`."""
        patterns = {
            f"{part.theirs}.lora_E": _kept(part.layer).tolist()
            for part in adapter.parts
        }
        pruned = not all(map(all, patterns.values()))
        total = self.total_steps or adapter.keeper.total
        return {
            **LORA_FIELDS,
            "r": 8,
            "alpha_pattern": {},
            "bias": "none",
            "fan_in_fan_out": adapter.stored_as_is,
            "init_lora_weights": True,
            "use_dora": False,
            "use_rslora": False,
            "lora_alpha": self.alpha,
            "lora_dropout": self.dropout,
            "target_modules": adapter.modules(),
            "rank_pattern": patterns if pruned else None,
            "init_r": self.init_rank,
            "target_r": self.target_rank,
            "tinit": self.warmup_steps,
            "tfinal": self.final_steps,
            "deltaT": self.every,
            "beta1": self.beta1,
            "beta2": self.beta2,
            "orth_reg_weight": self.orthogonality,
            # peft will not read a file without one.
            "total_step": total or self.warmup_steps + self.final_steps + 1,
        }

    @classmethod
    def from_content(cls, content):
        """From an `AdaLoraConfig`."""
        refuse_unknown(content, (*LORA_REFUSED, "use_dora", "use_rslora"))
        own = content.get("kerasft") or {}
        return cls(
            init_rank=content.get("init_r", 12),
            target_rank=content.get("target_r", 8),
            alpha=content.get("lora_alpha", 8),
            dropout=content.get("lora_dropout", 0.0),
            targets=targets_from(content),
            warmup_steps=content.get("tinit", 0),
            final_steps=content.get("tfinal", 0),
            every=content.get("deltaT", 1),
            beta1=content.get("beta1", 0.85),
            beta2=content.get("beta2", 0.85),
            orthogonality=content.get("orth_reg_weight", 0.5),
            # Ours may have left it to the fit; peft needs a number in the file.
            total_steps=own.get("total_steps", content.get("total_step")),
        )

    def tensors(self, adapter):
        """Of the triplets that are kept."""
        for part in adapter.parts:
            kept, key = _kept(part.layer), f"base_model.model.{part.theirs}."
            first, middle, last = map(
                ops.convert_to_numpy,
                (part.layer.lora_a, part.layer.lora_e, part.layer.lora_b),
            )
            yield key + "lora_A", first.T[kept]
            yield key + "lora_E", middle[kept]
            yield key + "lora_B", last.T[:, kept]

    def fill(self, adapter, read, shapes, content, strict=True):
        """Set the triplets that the file has; the others are new, with E = 0."""
        patterns = content.get("rank_pattern") or {}
        used, misfits, ready = set(), [], []
        for part in adapter.parts:
            kept = _pattern(patterns, part.theirs, self.init_rank)
            for end, weight, turned in part.layer.tensors():
                key = f"base_model.model.{part.theirs}.{end}"
                shape = list(weight.shape)
                shape[1 if end == "lora_A" else 0] = int(kept.sum())
                wanted = tuple(shape[::-1]) if turned else tuple(shape)
                if key not in shapes:
                    misfits.append(f"{key}: missing; the adapter needs {wanted}")
                    continue
                used.add(key)
                if shapes[key] != wanted:
                    misfits.append(f"{key}: has shape {shapes[key]}, expected {wanted}")
                else:
                    ready.append((part.layer, key, weight, end, kept))
        if not misfits or not strict:
            for layer, key, weight, end, kept in ready:
                _place(weight, end, kept, read(key))
                layer.kept.assign(kept.astype("float32"))
        return used, misfits


def _kept(layer):
    return ops.convert_to_numpy(layer.kept) > 0


def _place(weight, end, kept, array):
    """Write what a file holds into the places of the triplets that were kept."""
    values = np.array(ops.convert_to_numpy(weight))
    if end == "lora_A":
        values[:, kept] = array.T
    elif end == "lora_B":
        values[kept] = array.T
    else:
        values[kept] = array
    weight.assign(values)


def _pattern(patterns, theirs, rank):
    """Which triplets of a layer a file has, bool (rank,).

    Raises:
        CheckpointError: not a list of as many truths.
    """
    found = patterns.get(f"{theirs}.lora_E", [True] * rank)
    if len(found) != rank or not all(isinstance(one, bool) for one in found):
        raise CheckpointError(
            f"adapter_config.json: rank_pattern of {theirs} should be {rank} truths."
        )
    return np.array(found)
