"""DeBERTa-v3: BERT whose attention knows distances instead of positions.

Source: He et al. 2021 (arXiv:2111.09543), section 2.1, after He et al. 2020
(arXiv:2006.03654).
"""

from dataclasses import dataclass, replace

from kerasft.layers.attention import attention_bias
from kerasft.layers.disentangled import DisentangledAttention, DistanceEmbedding
from kerasft.layers.embedding import TokenEmbedding, positions_in_row
from kerasft.layers.initializer import normal
from kerasft.layers.norm import norm_maker
from kerasft.layers.packing import packing_of
from kerasft.layers.pooling import FirstTokenHead
from kerasft.models import bert, heads
from kerasft.models.backbone import Backbone
from kerasft.models.config import EncoderConfig
from kerasft.models.family import Head

TERMS = ("c2p", "p2c")


@dataclass(frozen=True)
class DebertaConfig(EncoderConfig):
    """Sizes and settings of a DeBERTa-v3; also those of `EncoderConfig`."""

    position_terms: tuple[str, ...] = TERMS
    """What distances do: "c2p", content to position, and "p2c", the other way."""
    position_buckets: int = 256
    """Rows of the distance table for each direction; -1: one for each distance."""
    max_relative_positions: int = -1
    """The distance from which on all are alike; -1: max_position_embeddings."""
    distance_norm: bool = True
    """Whether the vectors of distances are normalised."""
    position_biased_input: bool = False
    """Whether there is a table of positions, too."""
    pooler_dropout: float = 0.0
    pooler_activation: str = "gelu"


class DebertaBackbone(Backbone):
    """Embedding, then blocks of disentangled attention and MLP.

    Args:
        family: its `Family`.
        config: its `DebertaConfig`.
        initializer: of tables and kernels; None draws N(0, initializer_range).
    """

    def __init__(self, family, config, initializer=None, name="backbone"):
        super().__init__(family, config, name=name)
        initializer = initializer or normal(config.initializer_range)
        norm = norm_maker(config.layer_norm_eps)
        positions = config.max_position_embeddings
        self.embedding = TokenEmbedding(
            (
                config.vocab_size,
                positions if config.position_biased_input else 0,
                config.type_vocab_size,
            ),
            config.hidden_size,
            config.hidden_size,
            norm,
            config.hidden_dropout,
            initializer,
            name="embedding",
        )
        farthest = config.max_relative_positions
        self.distance_embedding = DistanceEmbedding(
            config.position_buckets,
            positions if farthest < 1 else farthest,
            config.hidden_size,
            norm if config.distance_norm else None,
            initializer,
            name="distance_embedding",
        )
        for i in range(config.num_layers):
            # By attribute, not in a list: tf.train.Checkpoint drops layers in lists.
            attention = DisentangledAttention(
                config.num_heads,
                config.attention_dropout,
                config.hidden_dropout,
                config.position_terms,
                initializer,
                name="attention",
            )
            block = bert.new_block(config, attention, initializer, f"block_{i}")
            setattr(self, f"block_{i}", block)
        self.build()

    no_prefix = "its tokens know distances, and nothing is so far from all of them"

    @property
    def blocks(self):
        """The blocks, from the embedding upwards."""
        return [getattr(self, f"block_{i}") for i in range(self.config.num_layers)]

    def build(self, input_shape=None):
        """Make all weights; they depend on the config alone."""
        self.embedding.build((None, None))
        self.distance_embedding.build()
        for block in self.blocks:
            block.build((None, None, self.config.hidden_size))

    def call(self, inputs, training=None, readers=None):
        """Compute the hidden states, of the first `readers` tokens or of all."""
        inputs = self.placed(inputs, positions_in_row)
        attention_mask = inputs.get("attention_mask")
        packing = packing_of(attention_mask)
        hidden = packing.packed(self.embedded(inputs, training))
        options = {
            "bias": attention_bias(attention_mask, inputs.get("sequence_ids")),
            "distances": self.distance_embedding(inputs["position_ids"]),
            "training": training,
            "packing": packing,
        }
        *lower, last = self.blocks
        for block in lower:
            hidden = block(hidden, **options)
        many = self.readers_with_prompt(readers)
        hidden = last(hidden, readers=many, **options)
        return self.without_prompt(hidden, packing, readers)


def new_head(config, num_labels):
    """The `Head.build` of whole texts."""
    head = FirstTokenHead(
        num_labels,
        config.pooler_activation,
        config.head_dropout,
        config.pooler_dropout,
        normal(config.initializer_range),
        name="head",
    )
    head.build((None, None, config.hidden_size))
    return head


def _read_more(content, problems):
    """Fields that are lists, or words in one string."""
    values = {}
    for theirs, ours in (("pos_att_type", "position_terms"), ("norm_rel_ebd", None)):
        told = content.get(theirs)
        if isinstance(told, str):
            told = [word.strip() for word in told.lower().split("|")]
        told = () if told is None else told
        if not isinstance(told, (list, tuple)):
            problems.append(f"{theirs} is {told!r:.60}, expected words")
            continue
        if ours:
            values[ours] = tuple(told)
        else:
            values["distance_norm"] = "layer_norm" in told
    return values


def _write_more(config):
    return {
        "pos_att_type": list(config.position_terms),
        "norm_rel_ebd": "layer_norm" if config.distance_norm else "none",
        "relative_attention": True,
        "share_att_key": True,
    }


BLOCK = "deberta.encoder.layer.{i}."

POOLED = (("pooler", "pooler.dense"), ("logits", "classifier"))

FAMILY = replace(
    bert.FAMILY,
    model_type="deberta-v2",
    architecture="DebertaV2",
    prefix="deberta.",
    config_class=DebertaConfig,
    backbone_class=DebertaBackbone,
    config_rows=(
        *(row for row in bert.CONFIG_ROWS if row[0] != "classifier_dropout"),
        ("classifier_dropout", "cls_dropout"),
        ("position_buckets", "position_buckets"),
        ("max_relative_positions", "max_relative_positions"),
        ("position_biased_input", "position_biased_input"),
        ("pooler_dropout", "pooler_dropout"),
        ("pooler_activation", "pooler_hidden_act"),
    ),
    read_more=_read_more,
    write_more=_write_more,
    rows=(
        *(row for row in bert.encoder_rows("deberta.") if "_proj" not in row[0]),
        ("distance_embedding/table", "deberta.encoder.rel_embeddings"),
        ("distance_embedding/table_norm", "deberta.encoder.LayerNorm"),
        ("block_{i}/attention/q_proj", BLOCK + "attention.self.query_proj"),
        ("block_{i}/attention/k_proj", BLOCK + "attention.self.key_proj"),
        ("block_{i}/attention/v_proj", BLOCK + "attention.self.value_proj"),
        ("block_{i}/attention/o_proj", BLOCK + "attention.output.dense"),
        ("block_{i}/mlp/up_proj", BLOCK + "intermediate.dense"),
        ("block_{i}/mlp/down_proj", BLOCK + "output.dense"),
    ),
    size_rows=(
        ("vocab_size", "embedding/token_embedding/embeddings", 0),
        ("hidden_size", "block_{i}/attention/q_proj/kernel", 0),
        ("intermediate_size", "block_{i}/mlp/up_proj/kernel", 1),
    ),
    heads={
        "text_classifier": Head(
            build=new_head, rows=POOLED, architecture="ForSequenceClassification"
        ),
        "multiple_choice": Head(
            build=heads.one_logit(new_head),
            rows=POOLED,
            architecture="ForMultipleChoice",
        ),
        "masked_lm": bert.MASKED,
        **heads.token_heads("hidden_dropout"),
        **heads.relation_heads(),
    },
    defaults={
        "type_vocab_size": 0,
        "layer_norm_eps": 1e-7,
        "position_biased_input": True,
        "position_buckets": -1,
    },
    # Version 2's convolution, and projections of distances of their own.
    only={
        "relative_attention": True,
        "share_att_key": True,
        "conv_kernel_size": 0,
    },
)
