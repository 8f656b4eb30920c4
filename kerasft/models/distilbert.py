"""DistilBERT: BERT without segments, and without dropout after attention's o_proj.

Its layer norms' epsilon is 1e-12, whatever config.json says.

Source: Sanh et al. 2019 (arXiv:1910.01108).
"""

from dataclasses import replace

from kerasft.models import bert, heads
from kerasft.models.family import Head

POOLED = (("pooler", "pre_classifier"), ("logits", "classifier"))
BLOCK = "distilbert.transformer.layer.{i}."

FAMILY = replace(
    bert.FAMILY,
    model_type="distilbert",
    architecture="DistilBert",
    prefix="distilbert.",
    config_rows=(
        ("vocab_size", "vocab_size"),
        ("hidden_size", "dim"),
        ("num_layers", "n_layers"),
        ("num_heads", "n_heads"),
        ("intermediate_size", "hidden_dim"),
        ("max_position_embeddings", "max_position_embeddings"),
        ("hidden_act", "activation"),
        ("hidden_dropout", "dropout"),
        ("attention_dropout", "attention_dropout"),
        ("classifier_dropout", "seq_classif_dropout"),
        ("answer_dropout", "qa_dropout"),
        ("initializer_range", "initializer_range"),
        ("pad_token_id", "pad_token_id"),
        ("problem_type", "problem_type"),
    ),
    rows=(
        ("embedding/token_embedding", "distilbert.embeddings.word_embeddings"),
        ("embedding/position_embedding", "distilbert.embeddings.position_embeddings"),
        ("embedding/embedding_norm", "distilbert.embeddings.LayerNorm"),
        ("block_{i}/attention/q_proj", BLOCK + "attention.q_lin"),
        ("block_{i}/attention/k_proj", BLOCK + "attention.k_lin"),
        ("block_{i}/attention/v_proj", BLOCK + "attention.v_lin"),
        ("block_{i}/attention/o_proj", BLOCK + "attention.out_lin"),
        ("block_{i}/attention_norm", BLOCK + "sa_layer_norm"),
        ("block_{i}/mlp/up_proj", BLOCK + "ffn.lin1"),
        ("block_{i}/mlp/down_proj", BLOCK + "ffn.lin2"),
        ("block_{i}/mlp_norm", BLOCK + "output_layer_norm"),
    ),
    heads={
        "text_classifier": Head(
            build=heads.first_token_head("relu"),
            rows=POOLED,
            architecture="ForSequenceClassification",
        ),
        "multiple_choice": Head(
            build=heads.one_logit(heads.first_token_head("relu")),
            rows=POOLED,
            architecture="ForMultipleChoice",
        ),
        "masked_lm": heads.masked_lm(
            ("vocab_transform", "vocab_layer_norm"),
            "vocab_projector",
            "vocab_projector.weight",
        ),
        **heads.token_heads("hidden_dropout", "answer_dropout"),
        **heads.relation_heads(),
    },
    defaults={
        "type_vocab_size": 0,
        "projection_dropout": 0.0,
        "classifier_dropout": 0.2,
        "answer_dropout": 0.1,
    },
)
