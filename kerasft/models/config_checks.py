"""What each number and word of a config may be.

Far beyond any model there is: what is outside is a damaged or hostile file.
"""

from numbers import Real

from kerasft.layers.activation import ACTIVATIONS

TAG_SCHEMES = ("IOB1", "IOB2", "IOE1", "IOE2", "IOBES", "BILOU")


def _integer(low, high, optional=False):
    def fits(value):
        return (optional and value is None) or (
            type(value) is int and low <= value <= high
        )

    return fits, f"an integer from {low} to {high:,}"


def _number(fits_range, words, optional=False):
    def fits(value):
        return (optional and value is None) or (
            isinstance(value, Real)
            and not isinstance(value, bool)
            and fits_range(value)
        )

    return fits, words


def _share(optional=False):
    return _number(lambda value: 0 <= value < 1, "a number from 0 to below 1", optional)


def _flag():
    return (lambda value: isinstance(value, bool)), "true or false"


def _all_of(known):
    """A check of a tuple of words."""
    return (
        lambda value: isinstance(value, tuple) and all(v in known for v in value),
        f"a list of {' and '.join(known)}",
    )


def _one_of(known):
    return (
        lambda value: value is None or (isinstance(value, str) and value in known),
        f"one of {', '.join(sorted(known))}",
    )


CHECKS = {
    "vocab_size": _integer(1, 10_000_000),
    "hidden_size": _integer(1, 65_536),
    "num_layers": _integer(1, 1_000),
    "num_heads": _integer(1, 1_024),
    "intermediate_size": _integer(1, 1_000_000),
    "max_position_embeddings": _integer(1, 10_000_000),
    "type_vocab_size": _integer(0, 1_000),
    "embedding_size": _integer(1, 65_536, optional=True),
    "pad_token_id": _integer(0, 10_000_000, optional=True),
    "hidden_dropout": _share(),
    "attention_dropout": _share(),
    "classifier_dropout": _share(optional=True),
    "projection_dropout": _share(optional=True),
    "mlp_dropout": _share(optional=True),
    "answer_dropout": _share(),
    "summary_dropout": _share(),
    "layer_norm_eps": _number(lambda value: 0 < value <= 1, "above 0, at most 1"),
    "initializer_range": _number(lambda value: 0 < value <= 100, "above 0 to 100"),
    "hidden_act": _one_of(ACTIVATIONS),
    "problem_type": _one_of(
        (
            "regression",
            "single_label_classification",
            "multi_label_classification",
        )
    ),
    "tag_scheme": _one_of(TAG_SCHEMES),
    "no_answer_threshold": _number(
        lambda value: abs(value) <= 1e9, "a number from -1e9 to 1e9", optional=True
    ),
    "mention_pooling": _one_of(("marks", "mentions")),
    "no_relation_id": _integer(0, 10_000_000, optional=True),
    "layer_types": _all_of(("full_attention", "sliding_attention")),
    "local_attention": _integer(1, 10_000_000),
    "full_theta": _number(lambda value: 1 < value <= 1e12, "above 1, at most 1e12"),
    "local_theta": _number(lambda value: 1 < value <= 1e12, "above 1, at most 1e12"),
    "sliding_window": _integer(1, 10_000_000, optional=True),
    "num_kv_heads": _integer(1, 1_024, optional=True),
    "head_size": _integer(2, 65_536, optional=True),
    "tied": _flag(),
    "scales_scores": _flag(),
    "scales_by_block": _flag(),
    "qkv_bias": _flag(),
    "output_bias": _flag(),
    "qk_norm": _flag(),
    "attention_bias": _flag(),
    "mlp_bias": _flag(),
    "norm_bias": _flag(),
    "classifier_bias": _flag(),
    "decoder_bias": _flag(),
    "classifier_pooling": _one_of(("cls", "mean")),
    "classifier_activation": _one_of(ACTIVATIONS),
    "position_terms": _all_of(("c2p", "p2c")),
    "position_buckets": _integer(-1, 1_000_000),
    "max_relative_positions": _integer(-1, 1_000_000),
    "position_biased_input": _flag(),
    "pooler_dropout": _share(),
    "pooler_activation": _one_of(ACTIVATIONS),
    "initializer_cutoff": _number(lambda value: 0 < value <= 100, "above 0 to 100"),
}


def problems_of(values, spelling):
    """What is wrong with `values`, {our field: value}, one sentence each."""
    return [
        f"{spelling.get(name, name)} is {values[name]!r:.60}, expected {words}"
        for name, (fits, words) in CHECKS.items()
        if name in values and not fits(values[name])
    ]
