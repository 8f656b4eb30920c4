"""BERT: a bidirectional encoder, normalised after each sum.

RoBERTa, DistilBERT, ELECTRA and ALBERT are the same formula with other numbers and
names; their files hold only those.

Source: Devlin et al. 2018 (arXiv:1810.04805).
"""

from kerasft.layers.attention import SelfAttention, attention_bias
from kerasft.layers.block import Block
from kerasft.layers.embedding import (
    TokenEmbedding,
    positions_after_padding,
    positions_in_row,
)
from kerasft.layers.initializer import normal
from kerasft.layers.mlp import Mlp
from kerasft.layers.norm import norm_maker
from kerasft.layers.packing import packing_of
from kerasft.models import heads
from kerasft.models.backbone import Backbone
from kerasft.models.config import EncoderConfig
from kerasft.models.family import Family, Head


class BertBackbone(Backbone):
    """Embedding, then blocks of attention and MLP.

    Args:
        family: its `Family`.
        config: its `EncoderConfig`.
        initializer: of tables and kernels; None draws N(0, initializer_range).
        shared: another model's `TokenEmbedding`, whose tables this one has; or None.
    """

    def __init__(self, family, config, initializer=None, name="backbone", shared=None):
        super().__init__(family, config, name=name)
        initializer = initializer or normal(config.initializer_range)
        self.embedding = TokenEmbedding(
            (config.vocab_size, config.max_position_embeddings, config.type_vocab_size),
            config.embedding_size,
            config.hidden_size,
            norm_maker(config.layer_norm_eps),
            config.hidden_dropout,
            initializer,
            always_project=config.always_projects,
            shared=shared,
            name="embedding",
        )
        for i in range(config.num_blocks):
            # By attribute, not in a list: tf.train.Checkpoint drops layers in lists.
            attention = SelfAttention(
                config.num_heads,
                config.attention_dropout,
                config.after_attention_dropout,
                initializer,
                name="attention",
            )
            block = new_block(config, attention, initializer, f"block_{i}")
            setattr(self, f"block_{i}", block)
        self.build()

    @property
    def no_prefix(self):
        """Why its blocks cannot look at a `prefix`; None: they can."""
        return "its layers are one block" if self.config.shared_block else None

    @property
    def blocks(self):
        """The blocks, from the embedding upwards; a shared one each time it is run."""
        config = self.config
        blocks = [getattr(self, f"block_{i}") for i in range(config.num_blocks)]
        return blocks * (config.num_layers // config.num_blocks)

    def build(self, input_shape=None):
        """Make all weights; they depend on the config alone."""
        self.embedding.build((None, None))
        for block in self.blocks[: self.config.num_blocks]:
            block.build((None, None, self.config.hidden_size))

    def call(self, inputs, training=None, readers=None):
        """Compute the hidden states (batch, length, width).

        With `readers`, only those of the first so many tokens (batch, readers, width):
        the last block works out no others.
        """
        inputs = self.placed(inputs, self._default_positions)
        attention_mask = inputs.get("attention_mask")
        bias = attention_bias(attention_mask, inputs.get("sequence_ids"))
        bias = self.with_prefix(bias)
        packing = packing_of(attention_mask)
        hidden = packing.packed(self.embedded(inputs, training))
        options = {"bias": bias, "training": training, "packing": packing}
        *lower, last = zip(self.blocks, self.prefixes(training), strict=True)
        for block, prefix in lower:
            hidden = block(hidden, cache=prefix, **options)
        block, prefix = last
        many = self.readers_with_prompt(readers)
        hidden = block(hidden, cache=prefix, readers=many, **options)
        return self.without_prompt(hidden, packing, readers)

    def _default_positions(self, input_ids):
        if self.config.positions_after_padding:
            return positions_after_padding(input_ids, self.config.pad_token_id)
        return positions_in_row(input_ids)


def new_block(config, attention, initializer, name):
    """A `Block` of this attention and the config's MLP."""
    dropout = config.mlp_dropout
    mlp = Mlp(
        config.intermediate_size,
        config.hidden_act,
        config.hidden_dropout if dropout is None else dropout,
        initializer,
        name="mlp",
    )
    return Block(attention, mlp, config.layer_norm_eps, name=name)


def encoder_rows(prefix):
    """Name rows that BERT, RoBERTa and ELECTRA share, for a prefix like "bert."."""
    block = prefix + "encoder.layer.{i}."
    return (
        ("embedding/token_embedding", prefix + "embeddings.word_embeddings"),
        ("embedding/position_embedding", prefix + "embeddings.position_embeddings"),
        ("embedding/segment_embedding", prefix + "embeddings.token_type_embeddings"),
        ("embedding/embedding_norm", prefix + "embeddings.LayerNorm"),
        ("block_{i}/attention/q_proj", block + "attention.self.query"),
        ("block_{i}/attention/k_proj", block + "attention.self.key"),
        ("block_{i}/attention/v_proj", block + "attention.self.value"),
        ("block_{i}/attention/o_proj", block + "attention.output.dense"),
        ("block_{i}/attention_norm", block + "attention.output.LayerNorm"),
        ("block_{i}/mlp/up_proj", block + "intermediate.dense"),
        ("block_{i}/mlp/down_proj", block + "output.dense"),
        ("block_{i}/mlp_norm", block + "output.LayerNorm"),
    )


CONFIG_ROWS = (
    ("vocab_size", "vocab_size"),
    ("hidden_size", "hidden_size"),
    ("num_layers", "num_hidden_layers"),
    ("num_heads", "num_attention_heads"),
    ("intermediate_size", "intermediate_size"),
    ("max_position_embeddings", "max_position_embeddings"),
    ("type_vocab_size", "type_vocab_size"),
    ("hidden_act", "hidden_act"),
    ("layer_norm_eps", "layer_norm_eps"),
    ("hidden_dropout", "hidden_dropout_prob"),
    ("attention_dropout", "attention_probs_dropout_prob"),
    ("classifier_dropout", "classifier_dropout"),
    ("initializer_range", "initializer_range"),
    ("pad_token_id", "pad_token_id"),
    ("problem_type", "problem_type"),
)

SIZE_ROWS = (
    ("vocab_size", "embedding/token_embedding/embeddings", 0),
    ("embedding_size", "embedding/token_embedding/embeddings", 1),
    ("max_position_embeddings", "embedding/position_embedding/embeddings", 0),
    ("hidden_size", "block_{i}/attention/q_proj/kernel", 0),
    ("intermediate_size", "block_{i}/mlp/up_proj/kernel", 1),
)

# A decoder's causal mask, and relative positions, are other formulas.
ONLY = {
    "is_decoder": False,
    "add_cross_attention": False,
    "position_embedding_type": "absolute",
}

POOLED = (("pooler", "bert.pooler.dense"), ("logits", "classifier"))

MASKED = heads.masked_lm(
    ("cls.predictions.transform.dense", "cls.predictions.transform.LayerNorm"),
    "cls.predictions",
    "cls.predictions.decoder.weight",
)

FAMILY = Family(
    model_type="bert",
    architecture="Bert",
    prefix="bert.",
    config_class=EncoderConfig,
    backbone_class=BertBackbone,
    config_rows=CONFIG_ROWS,
    rows=encoder_rows("bert."),
    size_rows=SIZE_ROWS,
    heads={
        "text_classifier": Head(
            build=heads.first_token_head("tanh"),
            rows=POOLED,
            architecture="ForSequenceClassification",
        ),
        "multiple_choice": Head(
            build=heads.one_logit(heads.first_token_head("tanh")),
            rows=POOLED,
            architecture="ForMultipleChoice",
        ),
        "masked_lm": MASKED,
        "pretraining": heads.pretraining(
            MASKED, "bert.pooler.dense", "cls.seq_relationship", "next"
        ),
        **heads.token_heads(),
        **heads.relation_heads(),
    },
    only=ONLY,
)
