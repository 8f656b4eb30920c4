"""How fast positions turn features, where a model was stretched to longer texts.

A `config.json` of transformers 4 gives `rope_theta` and `rope_scaling`, one of 5
`rope_parameters`; both say the same.

Sources: Su et al. 2021 (arXiv:2104.09864), "default"; Chen et al. 2023
(arXiv:2306.15595), "linear"; bloc97 2023, "NTK-aware scaled RoPE", "dynamic"; Peng et
al. 2023 (arXiv:2309.00071), section 3, "yarn"; Grattafiori et al. 2024
(arXiv:2407.21783), "llama3"; Ding et al. 2024 (arXiv:2402.13753), "longrope".
"""

import math
from dataclasses import asdict, dataclass, fields
from numbers import Real

import numpy as np
from keras import ops

from kerasft.layers.rotary import usual_speeds

NEEDED = {
    "default": (),
    "linear": ("factor",),
    "dynamic": ("factor",),
    "yarn": ("factor",),
    "llama3": ("factor", "low_freq_factor", "high_freq_factor"),
    "longrope": ("short_factor", "long_factor"),
}


@dataclass(frozen=True)
class Rope:
    """The turning of a model's features; names as in `rope_parameters`."""

    rope_type: str = "default"
    rope_theta: float = 10_000.0
    factor: float | None = None
    original_max_position_embeddings: int | None = None
    """Positions before the stretching; None: the model's."""
    attention_factor: float | None = None
    beta_fast: float | None = None
    beta_slow: float | None = None
    mscale: float | None = None
    mscale_all_dim: float | None = None
    truncate: bool | None = None
    low_freq_factor: float | None = None
    high_freq_factor: float | None = None
    short_factor: tuple[float, ...] | None = None
    long_factor: tuple[float, ...] | None = None

    def to_json(self):
        """As `rope_parameters` has it."""
        told = {key: value for key, value in asdict(self).items() if value is not None}
        return {k: list(v) if isinstance(v, tuple) else v for k, v in told.items()}

    def speeds(self, size, positions, reach):
        """Radians a position of each pair of features, and the factor of both waves.

        Args:
            size: features of a head.
            positions: how many the model has, by its config.
            reach: the last position of the batch, plus 1; may be a tensor.
        """
        kind = self.rope_type
        plain = usual_speeds(size, self.rope_theta)
        if kind == "linear":
            return plain / np.float32(self.factor), 1.0
        if kind == "dynamic":
            return self._stretched(size, positions, reach), 1.0
        if kind == "yarn":
            return self._yarn(plain, size, positions), self._yarn_factor(positions)
        if kind == "llama3":
            return self._llama3(plain, positions), 1.0
        if kind == "longrope":
            return self._longrope(plain, positions, reach)
        return plain, 1.0

    def _original(self, positions):
        return self.original_max_position_embeddings or positions

    def _stretched(self, size, positions, reach):
        reach = ops.cast(ops.maximum(reach, positions), "float32")
        stretch = self.factor * reach / positions - (self.factor - 1)
        theta = self.rope_theta * ops.power(stretch, size / (size - 2))
        powers = np.arange(0, size, 2, dtype="float32") / np.float32(size)
        return 1.0 / ops.power(theta, powers)

    def _yarn(self, plain, size, positions):
        original, theta = self._original(positions), self.rope_theta

        def pair(turns):
            """The pair of features that turns so often within the old length."""
            length = original / (turns * 2 * math.pi)
            return size * math.log(length) / (2 * math.log(theta))

        low, high = pair(self.beta_fast or 32), pair(self.beta_slow or 1)
        if self.truncate in (None, True):
            low, high = math.floor(low), math.ceil(high)
        low, high = max(low, 0), min(high, size - 1)
        high = high + 0.001 if low == high else high
        places = np.arange(size // 2, dtype="float32")
        slow = np.clip((places - low) / (high - low), 0, 1).astype("float32")
        return plain / np.float32(self._factor(positions)) * slow + plain * (1 - slow)

    def _yarn_factor(self, positions):
        if self.attention_factor is not None:
            return self.attention_factor

        def grown(scale, share=1.0):
            return 1.0 if scale <= 1 else 0.1 * share * math.log(scale) + 1.0

        factor = self._factor(positions)
        if self.mscale and self.mscale_all_dim:
            return grown(factor, self.mscale) / grown(factor, self.mscale_all_dim)
        return grown(factor)

    def _factor(self, positions):
        return self.factor or positions / self._original(positions)

    def _llama3(self, plain, positions):
        original = self._original(positions)
        waves = 2 * math.pi / plain
        low, high = self.low_freq_factor, self.high_freq_factor
        share = (original / waves - low) / (high - low)
        between = (1 - share) * plain / self.factor + share * plain
        slow = np.where(waves > original / low, plain / self.factor, between)
        return np.where(waves < original / high, plain, slow).astype("float32")

    def _longrope(self, plain, positions, reach):
        original, factor = self._original(positions), self._factor(positions)
        waves = self.attention_factor
        if waves is None:
            waves = math.sqrt(1 + math.log(factor) / math.log(original))
            waves = waves if factor > 1 else 1.0
        short, long = (
            plain / np.array(factors, "float32")
            for factors in (self.short_factor, self.long_factor)
        )
        return ops.where(reach > original, long, short), waves


def read_rope(content, problems):
    """The `Rope` of a parsed `config.json`; what is wrong is added to `problems`."""
    told = content.get("rope_parameters") or content.get("rope_scaling") or {}
    if not isinstance(told, dict):
        problems.append("rope_parameters is not an object")
        return Rope()
    told = {"rope_theta": content.get("rope_theta"), **told}
    told["rope_type"] = told.get("rope_type", told.get("type", "default"))
    told.setdefault(
        "original_max_position_embeddings",
        content.get("original_max_position_embeddings"),
    )
    known = {f.name for f in fields(Rope)}
    values = {k: v for k, v in told.items() if k in known and v is not None}
    found = _problems(values, told)
    problems += [f"rope_parameters: {problem}" for problem in found]
    if found:
        return Rope()
    values = {k: tuple(v) if isinstance(v, list) else v for k, v in values.items()}
    return Rope(**values)


def _problems(values, told):
    kind = values["rope_type"]
    if kind not in NEEDED:
        return [f"rope_type is {kind!r:.60}, known: {', '.join(NEEDED)}"]
    found = [f"{name} is missing" for name in NEEDED[kind] if name not in values]
    if told.get("partial_rotary_factor", 1.0) != 1.0:
        found.append("partial_rotary_factor is not 1")
    for name, value in values.items():
        if name in ("rope_type", "truncate"):
            continue
        numbers = value if name.endswith(("short_factor", "long_factor")) else [value]
        if not isinstance(numbers, list) or not all(map(_is_positive, numbers)):
            found.append(f"{name} is {value!r:.60}, expected numbers above 0")
    return found


def _is_positive(value):
    is_number = isinstance(value, Real) and not isinstance(value, bool)
    return is_number and 0 < value < 1e15
