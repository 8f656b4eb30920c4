"""Tasks: a backbone with a head, its loss and metrics; all of them in `TASKS`."""

from kerasft._registry import Registry
from kerasft.tasks.masked_lm import MaskedLM
from kerasft.tasks.pretraining import Pretraining
from kerasft.tasks.replaced_tokens import ReplacedTokenDetection
from kerasft.tasks.text_classifier import TextClassifier
from kerasft.tasks.token_classifier import TokenClassifier

__all__ = [
    "TASKS",
    "MaskedLM",
    "Pretraining",
    "ReplacedTokenDetection",
    "TextClassifier",
    "TokenClassifier",
]

TASKS = Registry(
    "task",
    text_classifier=TextClassifier,
    token_classifier=TokenClassifier,
    masked_lm=MaskedLM,
    pretraining=Pretraining,
    replaced_token_detection=ReplacedTokenDetection,
)
