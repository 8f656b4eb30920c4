"""ELECTRA: BERT whose embedding tables may be narrower than its blocks.

Source: Clark et al. 2020 (arXiv:2003.10555).
"""

from dataclasses import replace

from kerasft.models import bert, heads
from kerasft.models.family import Head

FAMILY = replace(
    bert.FAMILY,
    model_type="electra",
    architecture="Electra",
    prefix="electra.",
    config_rows=(
        *bert.CONFIG_ROWS,
        ("embedding_size", "embedding_size"),
        ("summary_dropout", "summary_last_dropout"),
    ),
    rows=(
        *bert.encoder_rows("electra."),
        ("embedding/embedding_proj", "electra.embeddings_project"),
    ),
    heads={
        "text_classifier": Head(
            build=heads.first_token_head("gelu", dropout_first=True),
            rows=(("pooler", "classifier.dense"), ("logits", "classifier.out_proj")),
            architecture="ForSequenceClassification",
        ),
        "multiple_choice": Head(
            build=heads.one_logit(
                heads.first_token_head("gelu", dropout="summary_dropout")
            ),
            rows=(("pooler", "sequence_summary.summary"), ("logits", "classifier")),
            architecture="ForMultipleChoice",
        ),
        "masked_lm": heads.masked_lm(
            ("generator_predictions.dense", "generator_predictions.LayerNorm"),
            "generator_lm_head",
            "generator_lm_head.weight",
            "gelu",
        ),
        "replaced_token_detection": Head(
            build=heads.replaced_token_head,
            rows=(
                ("transform/dense", "discriminator_predictions.dense"),
                ("logits", "discriminator_predictions.dense_prediction"),
            ),
            architecture="ForPreTraining",
        ),
        **heads.token_heads(),
        **heads.relation_heads(),
    },
    defaults={"summary_dropout": 0.1},
    # Another summary of the text is another formula.
    only=bert.ONLY
    | {
        "summary_type": "first",
        "summary_use_proj": True,
        "summary_activation": "gelu",
    },
)
