"""GPT-2 (DistilGPT2 and DialoGPT, too): a decoder, normalised before each part.

Positions have a table; one projection gives queries, keys and values.

Source: Radford et al. 2019, "Language Models are Unsupervised Multitask Learners",
section 2.3.
"""

import math
from dataclasses import dataclass

from kerasft.layers.block import PreNormBlock
from kerasft.layers.embedding import TokenEmbedding
from kerasft.layers.fused import FusedAttention
from kerasft.layers.initializer import normal
from kerasft.layers.mlp import Mlp
from kerasft.layers.norm import LayerNorm
from kerasft.models.decoder import DecoderBackbone
from kerasft.models.decoder_config import DecoderConfig
from kerasft.models.family import Family
from kerasft.models.heads import decoder_heads


@dataclass(frozen=True)
class Gpt2Config(DecoderConfig):
    """Sizes and settings of a GPT-2; also those of `DecoderConfig`."""

    scales_scores: bool = True
    """Whether scores are divided by the root of a head's size."""
    scales_by_block: bool = False
    """Whether scores are divided by the number of the block, from 1."""


class Gpt2Backbone(DecoderBackbone):
    """A `DecoderBackbone` of GPT-2's parts."""

    def _new_embedding(self, initializer):
        config = self.config
        return TokenEmbedding(
            (config.vocab_size, config.max_position_embeddings, 0),
            config.hidden_size,
            config.hidden_size,
            None,
            config.hidden_dropout,
            initializer or normal(config.initializer_range),
            name="embedding",
        )

    def _new_norm(self, name):
        return LayerNorm(epsilon=self.config.layer_norm_eps, name=name)

    def _new_block(self, i, initializer):
        config = self.config
        first = initializer or normal(config.initializer_range)
        share = 1 / math.sqrt(2 * config.num_layers)
        last = initializer or normal(config.initializer_range * share)
        scale = 1.0
        if config.scales_scores:
            scale /= math.sqrt(config.hidden_size // config.num_heads)
        if config.scales_by_block:
            scale /= i + 1
        attention = FusedAttention(
            config.num_heads,
            config.attention_dropout,
            config.after_attention_dropout,
            True,
            first,
            last,
            scale,
            name="attention",
        )
        mlp = Mlp(
            config.intermediate_size,
            config.hidden_act,
            config.after_attention_dropout,
            first,
            last,
            name="mlp",
        )
        return PreNormBlock(attention, mlp, self._new_norm, name=f"block_{i}")


def read_more(content, problems):
    """The MLP is four times as wide as the rest where `n_inner` is null."""
    inner, width = content.get("n_inner"), content.get("n_embd")
    if inner is None and type(width) is int:
        inner = 4 * width
    return {} if inner is None else {"intermediate_size": inner}


def write_more(config):
    """The same as `transformers` spells it."""
    usual = config.intermediate_size == 4 * config.hidden_size
    return {"n_inner": None if usual else config.intermediate_size}


BLOCK = "transformer.h.{i}."

FAMILY = Family(
    model_type="gpt2",
    architecture="GPT2",
    prefix="transformer.",
    config_class=Gpt2Config,
    backbone_class=Gpt2Backbone,
    config_rows=(
        ("vocab_size", "vocab_size"),
        ("hidden_size", "n_embd"),
        ("num_layers", "n_layer"),
        ("num_heads", "n_head"),
        ("max_position_embeddings", "n_positions"),
        ("hidden_act", "activation_function"),
        ("layer_norm_eps", "layer_norm_epsilon"),
        ("hidden_dropout", "embd_pdrop"),
        ("attention_dropout", "attn_pdrop"),
        ("projection_dropout", "resid_pdrop"),
        ("classifier_dropout", "classifier_dropout"),
        ("scales_scores", "scale_attn_weights"),
        ("scales_by_block", "scale_attn_by_inverse_layer_idx"),
        ("initializer_range", "initializer_range"),
        ("tied", "tie_word_embeddings"),
        ("pad_token_id", "pad_token_id"),
        ("problem_type", "problem_type"),
    ),
    read_more=read_more,
    write_more=write_more,
    rows=(
        ("embedding/token_embedding", "transformer.wte"),
        ("embedding/position_embedding", "transformer.wpe"),
        ("block_{i}/attention_norm", BLOCK + "ln_1"),
        ("block_{i}/attention/qkv_proj", BLOCK + "attn.c_attn"),
        ("block_{i}/attention/o_proj", BLOCK + "attn.c_proj"),
        ("block_{i}/mlp_norm", BLOCK + "ln_2"),
        ("block_{i}/mlp/up_proj", BLOCK + "mlp.c_fc"),
        ("block_{i}/mlp/down_proj", BLOCK + "mlp.c_proj"),
        ("final_norm", "transformer.ln_f"),
    ),
    size_rows=(
        ("vocab_size", "embedding/token_embedding/embeddings", 0),
        ("hidden_size", "embedding/token_embedding/embeddings", 1),
        ("max_position_embeddings", "embedding/position_embedding/embeddings", 0),
        ("intermediate_size", "block_{i}/mlp/up_proj/kernel", 1),
    ),
    heads=decoder_heads(tagger="classifier", language_model="LMHeadModel"),
    defaults={
        "type_vocab_size": 0,
        "hidden_act": "gelu_new",
        "layer_norm_eps": 1e-5,
        "projection_dropout": 0.1,
        "classifier_dropout": 0.1,
        "pad_token_id": None,
    },
    only={"add_cross_attention": False},
)
