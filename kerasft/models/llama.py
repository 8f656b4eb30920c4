"""Llama, Mistral, Qwen2, Qwen3, and SmolLM, which is a Llama: decoders with RoPE.

Normalised by mean square before each part, gated MLPs, keys and values shared by groups
of heads. Qwen2 has biases at queries, keys and values; Qwen3 norms of queries and keys.

Sources: Touvron et al. 2023 (arXiv:2302.13971), section 2.2; Jiang et al. 2023
(arXiv:2310.06825); Yang et al. 2024 (arXiv:2407.10671); Yang et al. 2025
(arXiv:2505.09388).
"""

from dataclasses import dataclass, field, replace

from keras import ops

from kerasft._errors import SettingsError
from kerasft.layers.block import PreNormBlock
from kerasft.layers.embedding import TokenEmbedding
from kerasft.layers.grouped import GroupedAttention
from kerasft.layers.initializer import normal
from kerasft.layers.mlp import GatedMlp
from kerasft.layers.norm import RmsNorm
from kerasft.layers.rotary import rotation
from kerasft.models.decoder import SLIDING, DecoderBackbone
from kerasft.models.decoder_config import DecoderConfig
from kerasft.models.family import Family
from kerasft.models.heads import decoder_heads
from kerasft.models.rope import Rope, read_rope

FULL = "full_attention"


@dataclass(frozen=True)
class LlamaConfig(DecoderConfig):
    """Sizes and settings of a Llama; also those of `DecoderConfig`.

    Raises:
        SettingsError: values out of bounds, all of them told at once.
    """

    tied: bool = False
    num_kv_heads: int | None = None
    """Heads of keys and values; None: as many as of queries."""
    head_size: int | None = None
    """Features of a head; None: the width divided by the heads."""
    qkv_bias: bool = False
    output_bias: bool = False
    """Whether attention's output projection has a bias."""
    mlp_bias: bool = False
    qk_norm: bool = False
    """Whether queries and keys are normalised."""
    rope: Rope = field(default_factory=Rope)

    def __post_init__(self):
        super().__post_init__()
        if self.num_kv_heads is None:
            object.__setattr__(self, "num_kv_heads", self.num_heads)
        if self.head_size is None:
            size = self.hidden_size // self.num_heads
            object.__setattr__(self, "head_size", size)
        if self.num_heads % self.num_kv_heads:
            raise SettingsError(
                f"{self.num_heads} heads cannot share {self.num_kv_heads} heads of "
                "keys and values evenly."
            )

    @property
    def num_cached_heads(self):
        """Heads of which keys and values are kept."""
        return self.num_kv_heads

    @property
    def cached_size(self):
        """Features of one of them."""
        return self.head_size


class LlamaBackbone(DecoderBackbone):
    """A `DecoderBackbone` of Llama's parts."""

    def _new_embedding(self, initializer):
        config = self.config
        return TokenEmbedding(
            (config.vocab_size, 0, 0),
            config.hidden_size,
            config.hidden_size,
            None,
            0.0,
            initializer or normal(config.initializer_range),
            name="embedding",
        )

    def _new_norm(self, name):
        return RmsNorm(self.config.layer_norm_eps, name=name)

    def _new_block(self, i, initializer):
        config = self.config
        initializer = initializer or normal(config.initializer_range)
        attention = GroupedAttention(
            (config.num_heads, config.num_kv_heads),
            config.head_size,
            config.attention_dropout,
            (config.qkv_bias, config.output_bias),
            config.layer_norm_eps if config.qk_norm else None,
            initializer,
            name="attention",
        )
        mlp = GatedMlp(
            config.intermediate_size,
            config.hidden_act,
            config.mlp_bias,
            initializer,
            name="mlp",
        )
        return PreNormBlock(attention, mlp, self._new_norm, name=f"block_{i}")

    def _turn(self, position_ids):
        config = self.config
        reach = ops.max(position_ids) + 1
        speeds = config.rope.speeds(
            config.head_size, config.max_position_embeddings, reach
        )
        return rotation(position_ids, *speeds)


def _read_more(content, problems):
    """RoPE in both spellings."""
    return {"rope": read_rope(content, problems)}


def _write_more(config):
    return {"rope_parameters": config.rope.to_json()}


def _read_biased(content, problems):
    """One field tells of all of attention's biases."""
    bias = content.get("attention_bias", False)
    return _read_more(content, problems) | {"qkv_bias": bias, "output_bias": bias}


def _write_biased(config):
    return _write_more(config) | {"attention_bias": config.qkv_bias}


def _read_mistral(content, problems):
    """Every block slides if there is a window."""
    window = content.get("sliding_window", 4096)
    layers = content.get("num_hidden_layers")
    types = (SLIDING,) * layers if type(layers) is int and window is not None else ()
    told = {"sliding_window": window, "layer_types": types}
    return _read_more(content, problems) | told


def _write_mistral(config):
    return _write_more(config) | {"sliding_window": config.sliding_window}


def _sliding_of_qwen(content):
    """From block `max_window_layers` on blocks slide, if asked for."""
    if not content.get("use_sliding_window", False):
        return {}
    window, types = content.get("sliding_window", 4096), content.get("layer_types")
    layers, first = content.get("num_hidden_layers"), content.get("max_window_layers")
    if types is None and type(layers) is int:
        first = 28 if type(first) is not int else first
        types = [SLIDING if i >= first else FULL for i in range(layers)]
    return {"sliding_window": window, "layer_types": tuple(map(str, types or ()))}


def _write_sliding(config):
    told = {"use_sliding_window": config.sliding_window is not None}
    if config.sliding_window is not None:
        told["sliding_window"] = config.sliding_window
        told["layer_types"] = list(config.layer_types)
    return told


def _read_qwen2(content, problems):
    told = {"qkv_bias": True, "output_bias": False, **_sliding_of_qwen(content)}
    return _read_more(content, problems) | told


def _write_qwen2(config):
    return _write_more(config) | _write_sliding(config)


def _read_qwen3(content, problems):
    told = {"qk_norm": True, **_sliding_of_qwen(content)}
    return _read_biased(content, problems) | told


def _write_qwen3(config):
    return _write_biased(config) | _write_sliding(config)


CONFIG_ROWS = (
    ("vocab_size", "vocab_size"),
    ("hidden_size", "hidden_size"),
    ("num_layers", "num_hidden_layers"),
    ("num_heads", "num_attention_heads"),
    ("num_kv_heads", "num_key_value_heads"),
    ("head_size", "head_dim"),
    ("intermediate_size", "intermediate_size"),
    ("max_position_embeddings", "max_position_embeddings"),
    ("hidden_act", "hidden_act"),
    ("layer_norm_eps", "rms_norm_eps"),
    ("attention_dropout", "attention_dropout"),
    ("classifier_dropout", "classifier_dropout"),
    ("initializer_range", "initializer_range"),
    ("tied", "tie_word_embeddings"),
    ("pad_token_id", "pad_token_id"),
    ("problem_type", "problem_type"),
)
BLOCK = "model.layers.{i}."

FAMILY = Family(
    model_type="llama",
    architecture="Llama",
    prefix="model.",
    config_class=LlamaConfig,
    backbone_class=LlamaBackbone,
    config_rows=(*CONFIG_ROWS, ("mlp_bias", "mlp_bias")),
    read_more=_read_biased,
    write_more=_write_biased,
    rows=(
        ("embedding/token_embedding", "model.embed_tokens"),
        ("block_{i}/attention_norm", BLOCK + "input_layernorm"),
        ("block_{i}/attention/q_proj", BLOCK + "self_attn.q_proj"),
        ("block_{i}/attention/k_proj", BLOCK + "self_attn.k_proj"),
        ("block_{i}/attention/v_proj", BLOCK + "self_attn.v_proj"),
        ("block_{i}/attention/o_proj", BLOCK + "self_attn.o_proj"),
        ("block_{i}/attention/q_norm", BLOCK + "self_attn.q_norm"),
        ("block_{i}/attention/k_norm", BLOCK + "self_attn.k_norm"),
        ("block_{i}/mlp_norm", BLOCK + "post_attention_layernorm"),
        ("block_{i}/mlp/gate_proj", BLOCK + "mlp.gate_proj"),
        ("block_{i}/mlp/up_proj", BLOCK + "mlp.up_proj"),
        ("block_{i}/mlp/down_proj", BLOCK + "mlp.down_proj"),
        ("final_norm", "model.norm"),
    ),
    size_rows=(
        ("vocab_size", "embedding/token_embedding/embeddings", 0),
        ("hidden_size", "embedding/token_embedding/embeddings", 1),
        ("intermediate_size", "block_{i}/mlp/up_proj/kernel", 1),
    ),
    heads=decoder_heads(tagger="score"),
    defaults={
        "type_vocab_size": 0,
        "hidden_act": "silu",
        "layer_norm_eps": 1e-6,
        "hidden_dropout": 0.0,
        "attention_dropout": 0.0,
        "classifier_dropout": 0.1,
        "pad_token_id": None,
    },
)

MISTRAL_FAMILY = replace(
    FAMILY,
    model_type="mistral",
    architecture="Mistral",
    config_rows=CONFIG_ROWS,
    read_more=_read_mistral,
    write_more=_write_mistral,
    defaults={**FAMILY.defaults, "num_kv_heads": 8},
)

QWEN2_FAMILY = replace(
    MISTRAL_FAMILY,
    model_type="qwen2",
    architecture="Qwen2",
    read_more=_read_qwen2,
    write_more=_write_qwen2,
    # Of `transformers`; its size of a head is not in the file, but always the same.
    config_rows=tuple(row for row in CONFIG_ROWS if row[0] != "head_size"),
    defaults={**FAMILY.defaults, "num_kv_heads": 32},
)

QWEN3_FAMILY = replace(
    MISTRAL_FAMILY,
    model_type="qwen3",
    architecture="Qwen3",
    read_more=_read_qwen3,
    write_more=_write_qwen3,
    defaults={**FAMILY.defaults, "num_kv_heads": 32, "head_size": 128},
)
