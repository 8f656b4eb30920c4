"""The numbers of a ModernBERT, and the several spellings of its `config.json`.

The checkpoints of 2024 give the rhythm of full blocks and two rope thetas by number;
`transformers` 5 writes a list of block types and an object of rope parameters.
"""

from dataclasses import dataclass

from kerasft._errors import SettingsError
from kerasft.models.config import EncoderConfig

FULL, LOCAL = "full_attention", "sliding_attention"


@dataclass(frozen=True)
class ModernBertConfig(EncoderConfig):
    """Sizes and settings of a ModernBERT; also those of `EncoderConfig`.

    Raises:
        SettingsError: values out of bounds, all of them told at once.
    """

    layer_types: tuple[str, ...] = ()
    """Of each block "full_attention" or "sliding_attention"; () is every third full."""
    local_attention: int = 128
    """Tokens in a window, half of them to either side."""
    full_theta: float = 160_000.0
    local_theta: float = 10_000.0
    attention_bias: bool = False
    mlp_bias: bool = False
    norm_bias: bool = False
    classifier_bias: bool = False
    decoder_bias: bool = True
    """Whether logits over the vocabulary have a bias."""
    classifier_pooling: str = "cls"
    """What a head of whole texts looks at: "cls", the first token, or "mean"."""
    classifier_activation: str = "gelu"
    initializer_cutoff: float = 2.0
    """New weights are at most so many standard deviations from 0."""

    def __post_init__(self):
        if not self.layer_types:
            types = (LOCAL if i % 3 else FULL for i in range(self.num_layers))
            object.__setattr__(self, "layer_types", tuple(types))
        super().__post_init__()
        if len(self.layer_types) != self.num_layers:
            raise SettingsError(
                f"layer_types names {len(self.layer_types)} blocks, but there are "
                f"{self.num_layers}."
            )


def read_more(content, problems):
    """Fields that are spelled in several ways, or lie deeper."""
    kinds = content.get("layer_types")
    every = content.get("global_attn_every_n_layers", 3)
    layers = content.get("num_hidden_layers")
    if kinds is None and type(every) is int and every > 0 and type(layers) is int:
        kinds = [LOCAL if i % every else FULL for i in range(layers)]
    values = {} if kinds is None else {"layer_types": kinds}
    if isinstance(kinds, list):
        values["layer_types"] = tuple(map(str, kinds))
    for kind, field, old in (
        (FULL, "full_theta", "global_rope_theta"),
        (LOCAL, "local_theta", "local_rope_theta"),
    ):
        told = content.get("rope_parameters") or {}
        told = (told.get(kind) or {}) if isinstance(told, dict) else told
        if not isinstance(told, dict):
            problems.append("rope_parameters is not an object of objects")
            continue
        if told.get("rope_type", "default") != "default":
            problems.append(
                f"rope_parameters: {told['rope_type']!r:.60}, only 'default' is known"
            )
        theta = told.get("rope_theta", content.get(old))
        if theta is not None:
            values[field] = theta
    return values


def write_more(config):
    """The same as `transformers` 5 spells them."""
    thetas = {FULL: config.full_theta, LOCAL: config.local_theta}
    return {
        "layer_types": list(config.layer_types),
        "rope_parameters": {
            kind: {"rope_theta": theta, "rope_type": "default"}
            for kind, theta in thetas.items()
        },
    }
