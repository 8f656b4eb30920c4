"""The numbers of an encoder, and how they are spelled in `config.json`.

In: the parsed JSON and a family's rows `ours <-> theirs`. Out: a frozen dataclass,
every value of it checked. Fields that no row names are kept, for saving, only where
they are numbers or well-known words: no field of a JSON file ever selects code, a
path or an address.
"""

from dataclasses import MISSING, dataclass, field, fields
from numbers import Real

from kerasft._errors import CheckpointError, SettingsError
from kerasft.models.config_checks import problems_of

# Fields of config.json that are kept though they are words; other words could name
# a file or code.
WORDS = ("position_embedding_type", "summary_activation", "summary_type")
# What tasks of ours add, whatever the family; `transformers` keeps it and looks away.
TASK_ROWS = (
    ("tag_scheme", "tagging_scheme"),
    ("no_answer_threshold", "no_answer_threshold"),
    ("mention_pooling", "mention_pooling"),
    ("no_relation_id", "no_relation_id"),
)
WRITTEN_ANEW = ("num_labels", "trust_remote_code")


@dataclass(frozen=True)
class EncoderConfig:
    """Sizes and settings of a BERT-like encoder.

    Raises:
        SettingsError: values out of bounds, all of them told at once.
    """

    model_type: str
    vocab_size: int
    hidden_size: int
    num_layers: int
    num_heads: int
    intermediate_size: int
    max_position_embeddings: int
    type_vocab_size: int = 2
    """Rows of the segment table; 0 for a model without one."""
    embedding_size: int | None = None
    """Width of the embedding tables; None becomes `hidden_size`."""
    hidden_act: str = "gelu"
    layer_norm_eps: float = 1e-12
    hidden_dropout: float = 0.1
    attention_dropout: float = 0.1
    """Share of attention weights dropped."""
    classifier_dropout: float | None = None
    """Share dropped in a head; None is `hidden_dropout`."""
    answer_dropout: float = 0.0
    """Share dropped before the logits of answers to questions."""
    summary_dropout: float = 0.0
    """Share dropped before the logits of choices, where it has its own."""
    projection_dropout: float | None = None
    """Share dropped after attention's o_proj; None is `hidden_dropout`."""
    mlp_dropout: float | None = None
    """Share dropped after the MLP; None is `hidden_dropout`."""
    always_projects: bool = False
    """Whether embeddings are projected even where they are as wide as the blocks."""
    shared_block: bool = False
    """Whether one block is run `num_layers` times, as ALBERT's is."""
    positions_after_padding: bool = False
    """Whether positions count from `pad_token_id` + 1, as RoBERTa's do."""
    tied: bool = True
    """Whether logits of tokens come from the token embedding's own table."""
    initializer_range: float = 0.02
    """Standard deviation of new weights."""
    pad_token_id: int | None = 0
    labels: tuple[str, ...] = ()
    """Names of a head's labels, in the order of its logits; () where not told."""
    problem_type: str | None = None
    tag_scheme: str | None = None
    """How a tagger's labels make entities."""
    no_answer_threshold: float | None = None
    """By how much "no answer" must outscore the best one to be given."""
    mention_pooling: str | None = None
    """Which tokens stand for a mention whose relation is asked: "marks", "mentions"."""
    no_relation_id: int | None = None
    """Which of `labels` says that there is none."""
    extra: dict = field(default_factory=dict, compare=False)
    """Further numbers of config.json, kept for saving."""

    def __post_init__(self):
        values = {f.name: getattr(self, f.name) for f in fields(self)}
        problems = problems_of(values, {})
        if problems:
            raise SettingsError("; ".join(problems))
        if self.hidden_size % self.num_heads:
            raise SettingsError(
                f"{self.num_heads} heads cannot share a width of {self.hidden_size} "
                "evenly."
            )
        if self.pad_token_id is None and self.positions_after_padding:
            raise SettingsError("pad_token_id is missing; positions count from it.")
        if self.pad_token_id is not None and self.pad_token_id >= self.vocab_size:
            raise SettingsError(
                f"pad_token_id is {self.pad_token_id}, outside a vocabulary of "
                f"{self.vocab_size} tokens."
            )
        if self.embedding_size is None:
            object.__setattr__(self, "embedding_size", self.hidden_size)

    @property
    def num_blocks(self):
        """Blocks that have weights of their own."""
        return 1 if self.shared_block else self.num_layers

    @property
    def num_cached_heads(self):
        """Heads of which keys and values are looked at."""
        return self.num_heads

    @property
    def cached_size(self):
        """Features of one of them."""
        return self.hidden_size // self.num_heads

    @property
    def first_position(self):
        """Position of a text's first token."""
        return self.pad_token_id + 1 if self.positions_after_padding else 0

    @property
    def num_positions(self):
        """Positions that the tokens of a text can have."""
        return self.max_position_embeddings - self.first_position

    @property
    def after_attention_dropout(self):
        """Share dropped after attention's o_proj."""
        if self.projection_dropout is None:
            return self.hidden_dropout
        return self.projection_dropout

    @property
    def head_dropout(self):
        """Share dropped in a head."""
        if self.classifier_dropout is None:
            return self.hidden_dropout
        return self.classifier_dropout


def from_json(family, content, source):
    """Give the config that a parsed `config.json` describes.

    Args:
        family: the `Family` of its model type.
        content: the parsed JSON object.
        source: its path, for messages.

    Raises:
        CheckpointError: a size is missing, a value is out of bounds, or the model is
            of a kind that the family's formula does not cover.
    """
    spelling = dict((*family.config_rows, *TASK_ROWS))
    values = {**family.defaults}
    values |= {
        ours: content[theirs] for ours, theirs in spelling.items() if theirs in content
    }
    problems = []
    values |= family.read_more(content, problems)
    problems += [
        f"{spelling.get(f.name, f.name)} is missing"
        for f in fields(family.config_class)
        if f.default is MISSING
        and f.default_factory is MISSING
        and f.name not in (*values, "model_type")
    ]
    problems += problems_of(values, spelling)
    problems += [
        f"{theirs} is {content[theirs]!r:.60}, only {only!r} is supported"
        for theirs, only in family.only.items()
        if content.get(theirs, only) != only
    ]
    labels = _labels(content, problems)
    if problems:
        raise CheckpointError(f"{source}: " + "; ".join(problems) + ".")
    extra = {key: value for key, value in content.items() if _is_kept(key, value)}
    for theirs in spelling.values():
        extra.pop(theirs, None)
    try:
        return family.config_class(
            model_type=family.model_type, labels=labels, extra=extra, **values
        )
    except SettingsError as error:
        raise CheckpointError(f"{source}: {error}") from error


def _labels(content, problems):
    """Names of `id2label` in order; () where there are none."""
    names = content.get("id2label")
    if names is None:
        return ()
    ids = [str(i) for i in range(len(names))] if isinstance(names, dict) else None
    if ids is None or set(names) != set(ids):
        problems.append("id2label does not name the labels 0, 1, 2, … in order")
        return ()
    return tuple(str(names[i]) for i in ids)


def _is_kept(key, value):
    if key.startswith("_") or key in WRITTEN_ANEW:
        return False
    items = value if isinstance(value, list) else [value]
    is_number = all(item is None or isinstance(item, Real) for item in items)
    return is_number or (key in WORDS and isinstance(value, str))


def to_json(family, config, architecture):
    """Give the `config.json` of a saved model, as `transformers` 5 reads it.

    Args:
        family: the model's `Family`.
        config: its `EncoderConfig`.
        architecture: such as "ForSequenceClassification", or "Model".
    """
    content = {
        **config.extra,
        **{theirs: getattr(config, ours) for ours, theirs in family.config_rows},
        **family.write_more(config),
        "architectures": [family.architecture + architecture],
        "dtype": "float32",
        "model_type": family.model_type,
    }
    if config.problem_type is None:
        del content["problem_type"]
    told = {theirs: getattr(config, ours) for ours, theirs in TASK_ROWS}
    content |= {key: value for key, value in told.items() if value is not None}
    if config.labels:
        content["id2label"] = {str(i): name for i, name in enumerate(config.labels)}
        content["label2id"] = {name: i for i, name in enumerate(config.labels)}
    return content
