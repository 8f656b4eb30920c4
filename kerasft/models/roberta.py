"""RoBERTa and XLM-RoBERTa: BERT whose positions count from the padding id.

The trap: position 0 is `pad_token_id` + 1 = 2, so of 514 rows 512 are usable.

Source: Liu et al. 2019 (arXiv:1907.11692), Conneau et al. 2019 (arXiv:1911.02116).
"""

from dataclasses import replace

from kerasft.models import bert, heads
from kerasft.models.family import Head

FAMILY = replace(
    bert.FAMILY,
    model_type="roberta",
    architecture="Roberta",
    prefix="roberta.",
    rows=bert.encoder_rows("roberta."),
    heads={
        "text_classifier": Head(
            build=heads.first_token_head("tanh", dropout_first=True),
            rows=(("pooler", "classifier.dense"), ("logits", "classifier.out_proj")),
            architecture="ForSequenceClassification",
        ),
        "multiple_choice": Head(
            build=heads.one_logit(
                heads.first_token_head("tanh", dropout="hidden_dropout")
            ),
            rows=(("pooler", "roberta.pooler.dense"), ("logits", "classifier")),
            architecture="ForMultipleChoice",
        ),
        "masked_lm": heads.masked_lm(
            ("lm_head.dense", "lm_head.layer_norm"),
            "lm_head",
            "lm_head.decoder.weight",
            "gelu",
        ),
        **heads.token_heads(),
        **heads.relation_heads(),
    },
    defaults={"pad_token_id": 1, "positions_after_padding": True},
)

XLM_FAMILY = replace(FAMILY, model_type="xlm-roberta", architecture="XLMRoberta")
