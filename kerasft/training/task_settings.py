"""Settings that belong to one task, or to a few of them."""

from dataclasses import dataclass
from typing import Literal

from kerasft.training.settings import Settings, at_least, setting


@dataclass(frozen=True, kw_only=True)
class TaggerSettings(Settings):
    """Tags, for token_classifier; windows, for question_answerer too."""

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
