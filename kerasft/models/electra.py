"""ELECTRA: BERT whose embedding tables may be narrower than its blocks.

Source: Clark et al. 2020 (arXiv:2003.10555).
"""

from dataclasses import replace

from kerasft.models import bert
from kerasft.models.family import Head

FAMILY = replace(
    bert.FAMILY,
    model_type="electra",
    architecture="Electra",
    prefix="electra.",
    config_rows=(*bert.CONFIG_ROWS, ("embedding_size", "embedding_size")),
    rows=(
        *bert.encoder_rows("electra."),
        ("embedding/embedding_proj", "electra.embeddings_project"),
    ),
    heads={
        "text_classifier": Head(
            build=bert.first_token_head("gelu", dropout_first=True),
            rows=(("pooler", "classifier.dense"), ("logits", "classifier.out_proj")),
            architecture="ForSequenceClassification",
        ),
    },
)
