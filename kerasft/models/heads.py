"""The heads that families share, as functions that make them.

Each function gives a `Head.build`: (config, size) -> a built layer. That of tags takes
a `CRF`, too.
"""

from kerasft.layers.initializer import normal
from kerasft.layers.last_token import LastTokenHead
from kerasft.layers.mention_head import MentionHead
from kerasft.layers.next_token import NextTokenHead
from kerasft.layers.norm import norm_maker
from kerasft.layers.pooling import FirstTokenHead
from kerasft.layers.span_pairs import TripleHead
from kerasft.layers.token_head import (
    PretrainingHead,
    TokenHead,
    TokenTransform,
    VocabularyHead,
)
from kerasft.models.family import Head


def first_token_head(activation, dropout_first=False, dropout="head_dropout"):
    """Logits of whole texts: of the first token's state, through a pooler.

    Args:
        activation: of the pooler.
        dropout_first: whether there is dropout before the pooler, too.
        dropout: which field of the config is its share.
    """

    def build(config, num_labels):
        share = getattr(config, dropout)
        head = FirstTokenHead(
            num_labels,
            activation,
            share,
            share if dropout_first else 0.0,
            normal(config.initializer_range),
            name="head",
        )
        return _built(head, config)

    return build


def token_head(dropout=None):
    """Logits of every token: dropout, then one layer.

    Args:
        dropout: which field of the config is its share; None: no dropout.
    """

    def build(config, num_labels, crf=None):
        share = getattr(config, dropout) if dropout else 0.0
        head = TokenHead(
            num_labels, share, normal(config.initializer_range), crf=crf, name="head"
        )
        return _built(head, config)

    return build


def vocabulary_head(activation=None):
    """Logits over the vocabulary, by the token embedding's table.

    Args:
        activation: of the transform; None: the config's `hidden_act`.
    """

    def build(config, vocab_size):
        return _built(_vocabulary_head(config, vocab_size, activation), config)

    return build


def _vocabulary_head(config, vocab_size, activation=None, name="head"):
    transform = TokenTransform(
        config.embedding_size,
        activation or config.hidden_act,
        norm_maker(config.layer_norm_eps),
        normal(config.initializer_range),
        name="transform",
    )
    return VocabularyHead(vocab_size, transform, name=name)


def one_logit(build):
    """The same head with one logit a text, whatever size is asked for."""
    return lambda config, size: build(config, 1)


def token_heads(tag_dropout="head_dropout", answer_dropout=None):
    """Heads of tags and answers as most families have them.

    Args:
        tag_dropout: config field of the share dropped before the tags' logits.
        answer_dropout: the same for answers; None: no dropout.
    """
    return {
        "token_classifier": Head(
            build=token_head(tag_dropout),
            rows=(("logits", "classifier"), CRF_ROW),
            architecture="ForTokenClassification",
        ),
        "question_answerer": Head(
            build=token_head(answer_dropout),
            rows=(("logits", "qa_outputs"),),
            architecture="ForQuestionAnswering",
        ),
    }


def decoder_heads(tagger, language_model="ForCausalLM"):
    """Heads of decoders: of the next token, of whole texts, of tags.

    Args:
        tagger: their name of the tags' layer.
        language_model: end of the `transformers` class of the first.
    """
    return {
        "causal_lm": Head(
            build=_next_token_head,
            rows=(("decoder", "lm_head"),),
            architecture=language_model,
            tied="lm_head.weight",
        ),
        "text_classifier": Head(
            build=_last_token_head,
            rows=(("logits", "score"),),
            architecture="ForSequenceClassification",
        ),
        "token_classifier": Head(
            build=token_head("head_dropout"),
            rows=(("logits", tagger), CRF_ROW),
            architecture="ForTokenClassification",
        ),
    }


def _next_token_head(config, vocab_size):
    initializer = normal(config.initializer_range)
    head = NextTokenHead(vocab_size, config.tied, initializer, name="head")
    return _built(head, config)


def _last_token_head(config, num_labels):
    initializer = normal(config.initializer_range)
    return _built(LastTokenHead(num_labels, initializer, name="head"), config)


def relation_heads():
    """Heads of relations; `transformers` has none, and leaves their weights unread."""
    return {
        "relation_extractor": Head(
            build=_mention_head,
            rows=(("dense", "relation.dense"), ("logits", "relation.classifier")),
            architecture="Model",
        ),
        "triple_extractor": Head(
            build=_triple_head,
            rows=tuple(
                (f"{part}/{layer}", f"triples.{part}.{layer}")
                for part in ("mentions", "starts", "ends")
                for layer in ("dense", "bias")
            ),
            architecture="Model",
        ),
    }


def _mention_head(config, num_labels):
    initializer = normal(config.initializer_range)
    head = MentionHead(num_labels, config.head_dropout, initializer, name="head")
    return _built(head, config)


def _triple_head(config, relations):
    initializer = normal(config.initializer_range)
    head = TripleHead(relations, config.head_dropout, initializer, name="head")
    return _built(head, config)


CRF_ROW = ("crf", "crf")  # No model of `transformers` has one; they leave it unread.


def masked_lm(transform, decoder, tied, activation=None):
    """The head of masked language models.

    Args:
        transform: their names of its dense layer and its norm.
        decoder: their name of what holds the vocabulary's bias.
        tied: their key of the decoder's matrix, which is the token embedding's.
        activation: of the transform; None: the config's `hidden_act`.
    """
    dense, norm = transform
    return Head(
        build=vocabulary_head(activation),
        rows=(
            ("transform/dense", dense),
            ("transform/norm", norm),
            ("decoder", decoder),
        ),
        architecture="ForMaskedLM",
        tied=tied,
    )


def pretraining(tokens, pooler, classifier, pairs, dropout=None):
    """The head of pretraining: hidden tokens, and whether two texts belong together.

    Args:
        tokens: the family's `masked_lm`.
        pooler, classifier: their names of the layers about the texts.
        pairs: as of `PretrainingHead`.
        dropout: config field of the share dropped before that classifier; None: none.
    """

    def build(config, vocab_size):
        share = getattr(config, dropout) if dropout else 0.0
        initializer = normal(config.initializer_range)
        pair = FirstTokenHead(2, "tanh", share, initializer=initializer, name="pair")
        masked = _vocabulary_head(config, vocab_size, name="tokens")
        return _built(PretrainingHead(masked, pair, pairs, name="head"), config)

    rows = tuple((f"tokens/{ours}", theirs) for ours, theirs in tokens.rows)
    return Head(
        build=build,
        rows=(*rows, ("pair/pooler", pooler), ("pair/logits", classifier)),
        architecture="ForPreTraining",
        pretrained=tuple(ours for ours, _ in rows),  # Of a masked language model.
        tied=tokens.tied,
    )


def replaced_token_head(config, size):
    """The `Head.build` of a logit for each token: whether another stood there."""
    initializer = normal(config.initializer_range)
    transform = TokenTransform(
        config.hidden_size, config.hidden_act, None, initializer, name="transform"
    )
    return _built(TokenHead(1, 0.0, initializer, transform, name="head"), config)


def _built(head, config):
    head.build((None, None, config.hidden_size))
    return head
