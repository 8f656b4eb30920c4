"""ALBERT: BERT with narrow embedding tables and one block that is run again and again.

Source: Lan et al. 2019 (arXiv:1909.11942), section 3.1.
"""

from dataclasses import replace

from kerasft.models import bert, heads
from kerasft.models.family import Head

BLOCK = "albert.encoder.albert_layer_groups.{i}.albert_layers.0."

POOLED = (("pooler", "albert.pooler"), ("logits", "classifier"))

MASKED = heads.masked_lm(
    ("predictions.dense", "predictions.LayerNorm"),
    "predictions",
    "predictions.decoder.weight",
)

FAMILY = replace(
    bert.FAMILY,
    model_type="albert",
    architecture="Albert",
    prefix="albert.",
    config_rows=(
        *(row for row in bert.CONFIG_ROWS if row[0] != "classifier_dropout"),
        ("embedding_size", "embedding_size"),
        ("classifier_dropout", "classifier_dropout_prob"),
    ),
    rows=(
        *(row for row in bert.encoder_rows("albert.") if "{i}" not in row[0]),
        ("embedding/embedding_proj", "albert.encoder.embedding_hidden_mapping_in"),
        ("block_{i}/attention/q_proj", BLOCK + "attention.query"),
        ("block_{i}/attention/k_proj", BLOCK + "attention.key"),
        ("block_{i}/attention/v_proj", BLOCK + "attention.value"),
        ("block_{i}/attention/o_proj", BLOCK + "attention.dense"),
        ("block_{i}/attention_norm", BLOCK + "attention.LayerNorm"),
        ("block_{i}/mlp/up_proj", BLOCK + "ffn"),
        ("block_{i}/mlp/down_proj", BLOCK + "ffn_output"),
        ("block_{i}/mlp_norm", BLOCK + "full_layer_layer_norm"),
    ),
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
            MASKED,
            "albert.pooler",
            "sop_classifier.classifier",
            "order",
            dropout="head_dropout",
        ),
        **heads.token_heads(),
        **heads.relation_heads(),
    },
    # What config.json may leave out, then what is so in every ALBERT.
    defaults={
        "hidden_act": "gelu_new",
        "hidden_dropout": 0.0,
        "attention_dropout": 0.0,
        "classifier_dropout": 0.1,
        "mlp_dropout": 0.0,
        "always_projects": True,
        "shared_block": True,
    },
    only=bert.ONLY | {"num_hidden_groups": 1, "inner_group_num": 1},
)
