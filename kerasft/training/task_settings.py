"""Settings that belong to one task, or to a few of them."""

from dataclasses import dataclass
from typing import Literal

from kerasft.training.settings import Settings, above, at_least, setting

VectorLoss = Literal[
    "ranking", "symmetric_ranking", "triplet", "cosine", "contrastive", "classes"
]


@dataclass(frozen=True, kw_only=True)
class TaggerSettings(Settings):
    """Tags, for token_classifier; windows, for all tasks that cut long texts."""

    scheme: Literal["IOB1", "IOB2", "IOE1", "IOE2", "IOBES", "BILOU"] | None = setting(
        None, "how tags make entities, strictly; null: as the CoNLL script mends them"
    )
    crf: bool | None = setting(
        None, "score whole tag sequences; null: as the checkpoint does"
    )
    overlap: int | None = setting(
        None,
        "tokens that windows of a long text share; null: a quarter of a window",
        at_least(0),
    )


@dataclass(frozen=True, kw_only=True)
class AnswerSettings(Settings):
    """Answers, for question_answerer."""

    max_answer_length: int = setting(30, "most tokens of an answer", at_least(1))


@dataclass(frozen=True, kw_only=True)
class RelationSettings(Settings):
    """Relations, for relation_extractor."""

    no_relation: str | None = setting(
        None, "the label that says there is none; null: as the checkpoint says"
    )
    mention_pooling: Literal["marks", "mentions"] | None = setting(
        None, "what stands for a mention; null: as the checkpoint says, else marks"
    )


@dataclass(frozen=True, kw_only=True)
class VectorSettings(Settings):
    """Vectors, for text_embedder and few_shot_classifier."""

    pooling: Literal["cls", "mean", "max", "last"] | None = setting(
        None, "of the tokens' vectors; null: as the checkpoint tells, else the mean"
    )
    normalise: bool | None = setting(
        None, "whether vectors have length 1; null: as the checkpoint tells, else not"
    )
    loss: VectorLoss | None = setting(
        None, "what compares vectors, for text_embedder; null: the rows' usual one"
    )


@dataclass(frozen=True, kw_only=True)
class FewShotSettings(Settings):
    """Pairs of texts with a label, for few_shot_classifier."""

    pairs_per_row: int | None = setting(
        None,
        "partners of each row that have its label, and as many that have another; "
        "null: all pairs",
        at_least(1),
    )
    strength: float = setting(
        1.0, "how far rows may pull the last layer's weights from 0", above(0)
    )


@dataclass(frozen=True, kw_only=True)
class MaskingSettings(Settings):
    """Hidden tokens."""

    mask_share: float = setting(
        0.15, "of the tokens that are hidden", (lambda x: 0 < x < 1, "above 0, below 1")
    )
    mask_random_keep: list[float] | None = setting(
        None,
        "shares of these that become the mask, any token, or stay; null: 0.8, 0.1, "
        "0.1, and of rtd 0.85, 0, 0.15",
    )
    whole_words: bool = setting(False, "hide all tokens of a word together")
    pack: bool = setting(
        False, "fill examples up with the texts that follow, for mlm and rtd"
    )
    generator: str | None = setting(
        None,
        "checkpoint of the generator, for rtd; null: the checkpoint's, or a new one",
    )
    generator_share: float | None = setting(
        None,
        "width of a new generator as a share of the model's, for rtd; null: a quarter",
        above(0),
    )


@dataclass(frozen=True, kw_only=True)
class NextTokenSettings(Settings):
    """Rows of tokens, for causal_lm and clm."""

    one_text_per_row: bool = setting(
        False, "a row for each text alone, not filled up with those that follow"
    )
    see_across: bool = setting(
        False, "let tokens see the other texts in their row, as GPT-2 was trained"
    )


@dataclass(frozen=True, kw_only=True)
class SampleSettings(Settings):
    """Texts written after each epoch, for causal_lm and clm."""

    sample_prompts: list[str] | None = setting(
        None, "what they go on from; []: none; null: how some validation texts begin"
    )
    sample_tokens: int = setting(48, "most tokens of each", at_least(1))


@dataclass(frozen=True, kw_only=True)
class AnsweringSettings(Settings):
    """What is learnt of conversations, for causal_lm."""

    loss_on: Literal["assistant", "completion", "all"] = setting(
        "assistant", "all that the assistant says, the last of it, or everything"
    )
    too_long: Literal["shorten", "leave_out", "error"] = setting(
        "shorten", "leave out first turns, the whole conversation, or stop"
    )


@dataclass(frozen=True, kw_only=True)
class AnswerReportSettings(Settings):
    """Answers that are written to be compared with those in conversations."""

    report_rows: int = setting(
        50, "most conversations of a part whose last answer is written", at_least(0)
    )
    report_tokens: int = setting(128, "most tokens of such an answer", at_least(1))
