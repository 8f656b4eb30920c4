"""ModernBERT: normalised before each part, turned positions, most blocks local.

Every third block sees the whole text, the others a window; MLPs are gated; there are
no biases, no segments, no position table.

Source: Warner et al. 2024 (arXiv:2412.13663), section 2.1.
"""

import math

from keras import ops

from kerasft.layers.attention import attention_bias, near
from kerasft.layers.block import PreNormBlock
from kerasft.layers.embedding import TokenEmbedding, positions_in_row
from kerasft.layers.fused import FusedAttention
from kerasft.layers.initializer import cut_normal
from kerasft.layers.mlp import FusedGatedMlp
from kerasft.layers.norm import norm_maker
from kerasft.layers.packing import packing_of
from kerasft.layers.pooling import PooledHead
from kerasft.layers.rotary import rotation, usual_speeds
from kerasft.layers.token_head import TokenHead, TokenTransform, VocabularyHead
from kerasft.models.backbone import Backbone
from kerasft.models.family import Family, Head
from kerasft.models.heads import CRF_ROW, one_logit, relation_heads
from kerasft.models.modernbert_config import (
    FULL,
    LOCAL,
    ModernBertConfig,
    read_more,
    write_more,
)


class ModernBertBackbone(Backbone):
    """Embedding, blocks that see all or a window, a last norm.

    Args:
        family: its `Family`.
        config: its `ModernBertConfig`.
        initializer: of tables and kernels; None draws cut normal numbers.
    """

    no_prefix = "most of its blocks see a window, and a prefix is in none"

    def __init__(self, family, config, initializer=None, name="backbone"):
        super().__init__(family, config, name=name)
        self.norm = norm_maker(config.layer_norm_eps, center=config.norm_bias)
        self.embedding = TokenEmbedding(
            (config.vocab_size, 0, 0),
            config.hidden_size,
            config.hidden_size,
            self.norm,
            config.hidden_dropout,
            initializer or _drawn(config),
            name="embedding",
        )
        for i in range(config.num_layers):
            # By attribute, not in a list: tf.train.Checkpoint drops layers in lists.
            setattr(self, f"block_{i}", self._new_block(i, initializer))
        self.final_norm = self.norm("final_norm")
        self.build()

    def _new_block(self, i, initializer):
        config = self.config
        initializers = (
            initializer or _drawn(config),
            initializer or _drawn(config, 1 / math.sqrt(2 * config.num_layers)),
        )
        attention = FusedAttention(
            config.num_heads,
            config.attention_dropout,
            config.attention_dropout,
            config.attention_bias,
            *initializers,
            name="attention",
        )
        mlp = FusedGatedMlp(
            config.intermediate_size,
            config.hidden_act,
            config.mlp_dropout,
            config.mlp_bias,
            initializers,
            name="mlp",
        )
        return PreNormBlock(attention, mlp, self.norm, i > 0, name=f"block_{i}")

    @property
    def blocks(self):
        """The blocks, from the embedding upwards."""
        return [getattr(self, f"block_{i}") for i in range(self.config.num_layers)]

    def build(self, input_shape=None):
        """Make all weights; they depend on the config alone."""
        self.embedding.build((None, None))
        for part in (*self.blocks, self.final_norm):
            part.build((None, None, self.config.hidden_size))

    def call(self, inputs, training=None, readers=None):
        """Compute the hidden states, of the first `readers` tokens or of all."""
        inputs = self.placed(inputs, positions_in_row)
        packing = packing_of(inputs.get("attention_mask"))
        seen = self._seen(inputs)
        hidden = packing.packed(self.embedded(inputs, training))
        many = self.readers_with_prompt(readers)
        last = self.config.num_layers - 1
        for i, block in enumerate(self.blocks):
            hidden = block(
                hidden,
                **seen[self.config.layer_types[i]],
                training=training,
                readers=many if i == last else None,
                packing=packing,
            )
        return self.without_prompt(self.final_norm(hidden), packing, readers)

    def _seen(self, inputs):
        """Who sees whom and how far apart they are, by kind of block."""
        position_ids = inputs["position_ids"]
        config, length = self.config, ops.shape(position_ids)[1]
        masks = inputs.get("attention_mask"), inputs.get("sequence_ids")
        size = config.hidden_size // config.num_heads
        windows = {FULL: None, LOCAL: near(length, config.local_attention // 2)}
        thetas = {FULL: config.full_theta, LOCAL: config.local_theta}
        return {
            kind: {
                "bias": attention_bias(*masks, within=windows[kind]),
                "turn": rotation(position_ids, usual_speeds(size, thetas[kind])),
            }
            for kind in (FULL, LOCAL)
        }


def _drawn(config, share=1.0):
    """Initializer of new weights: normal, cut off; its deviation times `share`."""
    return cut_normal(config.initializer_range * share, config.initializer_cutoff)


def new_head(config, num_labels):
    """The `Head.build` of whole texts."""
    head = PooledHead(
        num_labels,
        config.classifier_activation,
        config.head_dropout,
        norm=_head_norm(config),
        pooling=config.classifier_pooling,
        pooler_bias=config.classifier_bias,
        initializers=_initializers(config),
        name="head",
    )
    head.build((None, None, config.hidden_size))
    return head


def new_token_head(config, num_labels, crf=None):
    """The `Head.build` of every token."""
    last = _initializers(config)[1]
    share, transform = config.head_dropout, _transform(config)
    head = TokenHead(num_labels, share, last, transform, crf, name="head")
    head.build((None, None, config.hidden_size))
    return head


def new_vocabulary_head(config, vocab_size):
    """The `Head.build` of masked tokens."""
    head = VocabularyHead(
        vocab_size, _transform(config), config.decoder_bias, name="head"
    )
    head.build((None, None, config.hidden_size))
    return head


def _transform(config):
    return TokenTransform(
        config.hidden_size,
        config.classifier_activation,
        _head_norm(config),
        _initializers(config)[0],
        config.classifier_bias,
        name="transform",
    )


def _head_norm(config):
    return norm_maker(config.layer_norm_eps, center=config.norm_bias)


def _initializers(config):
    """Of a head's first layer, and of its last."""
    first = config.initializer_range / math.sqrt(2 * config.num_layers)
    deviations = first, config.hidden_size**-0.5
    return [cut_normal(d, config.initializer_cutoff) for d in deviations]


POOLED = (
    ("pooler", "head.dense"),
    ("pooler_norm", "head.norm"),
    ("logits", "classifier"),
)
TRANSFORM = (("transform/dense", "head.dense"), ("transform/norm", "head.norm"))
PRETRAINED = {
    "pooled": ("pooler", "pooler_norm"),
    "tokens": ("transform/dense", "transform/norm"),
}
BLOCK = "model.layers.{i}."

FAMILY = Family(
    model_type="modernbert",
    architecture="ModernBert",
    prefix="model.",
    config_class=ModernBertConfig,
    backbone_class=ModernBertBackbone,
    config_rows=(
        ("vocab_size", "vocab_size"),
        ("hidden_size", "hidden_size"),
        ("num_layers", "num_hidden_layers"),
        ("num_heads", "num_attention_heads"),
        ("intermediate_size", "intermediate_size"),
        ("max_position_embeddings", "max_position_embeddings"),
        ("hidden_act", "hidden_activation"),
        ("layer_norm_eps", "norm_eps"),
        ("hidden_dropout", "embedding_dropout"),
        ("attention_dropout", "attention_dropout"),
        ("mlp_dropout", "mlp_dropout"),
        ("classifier_dropout", "classifier_dropout"),
        ("classifier_pooling", "classifier_pooling"),
        ("classifier_activation", "classifier_activation"),
        ("classifier_bias", "classifier_bias"),
        ("decoder_bias", "decoder_bias"),
        ("attention_bias", "attention_bias"),
        ("mlp_bias", "mlp_bias"),
        ("norm_bias", "norm_bias"),
        ("local_attention", "local_attention"),
        ("initializer_range", "initializer_range"),
        ("initializer_cutoff", "initializer_cutoff_factor"),
        ("pad_token_id", "pad_token_id"),
        ("problem_type", "problem_type"),
    ),
    read_more=read_more,
    write_more=write_more,
    rows=(
        ("embedding/token_embedding", "model.embeddings.tok_embeddings"),
        ("embedding/embedding_norm", "model.embeddings.norm"),
        ("block_{i}/attention_norm", BLOCK + "attn_norm"),
        ("block_{i}/attention/qkv_proj", BLOCK + "attn.Wqkv"),
        ("block_{i}/attention/o_proj", BLOCK + "attn.Wo"),
        ("block_{i}/mlp_norm", BLOCK + "mlp_norm"),
        ("block_{i}/mlp/gate_up_proj", BLOCK + "mlp.Wi"),
        ("block_{i}/mlp/down_proj", BLOCK + "mlp.Wo"),
        ("final_norm", "model.final_norm"),
    ),
    size_rows=(
        ("vocab_size", "embedding/token_embedding/embeddings", 0),
        ("hidden_size", "embedding/token_embedding/embeddings", 1),
        ("intermediate_size", "block_{i}/mlp/down_proj/kernel", 0),
    ),
    heads={
        "text_classifier": Head(
            build=new_head,
            rows=POOLED,
            architecture="ForSequenceClassification",
            pretrained=PRETRAINED["pooled"],
        ),
        "multiple_choice": Head(
            build=one_logit(new_head),
            rows=POOLED,
            architecture="ForMultipleChoice",
            pretrained=PRETRAINED["pooled"],
        ),
        "token_classifier": Head(
            build=new_token_head,
            rows=(*TRANSFORM, ("logits", "classifier"), CRF_ROW),
            architecture="ForTokenClassification",
            pretrained=PRETRAINED["tokens"],
        ),
        "question_answerer": Head(
            build=new_token_head,
            rows=(*TRANSFORM, ("logits", "classifier")),
            architecture="ForQuestionAnswering",
            pretrained=PRETRAINED["tokens"],
        ),
        "masked_lm": Head(
            build=new_vocabulary_head,
            rows=(*TRANSFORM, ("decoder", "decoder")),
            architecture="ForMaskedLM",
            pretrained=PRETRAINED["tokens"],
            tied="decoder.weight",
        ),
        **relation_heads(),
    },
    defaults={
        "type_vocab_size": 0,
        "layer_norm_eps": 1e-5,
        "hidden_dropout": 0.0,
        "attention_dropout": 0.0,
        "mlp_dropout": 0.0,
        "classifier_dropout": 0.0,
    },
)
