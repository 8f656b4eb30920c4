"""Tasks: a backbone with a head, its loss and metrics; all of them in `TASKS`."""

from kerasft._registry import Registry
from kerasft.tasks.few_shot import FewShotClassifier
from kerasft.tasks.text_classifier import TextClassifier
from kerasft.tasks.text_embedder import TextEmbedder
from kerasft.tasks.token_classifier import TokenClassifier

__all__ = [
    "TASKS",
    "FewShotClassifier",
    "TextClassifier",
    "TextEmbedder",
    "TokenClassifier",
]

TASKS = Registry(
    "task",
    text_classifier=TextClassifier,
    token_classifier=TokenClassifier,
    text_embedder=TextEmbedder,
    few_shot_classifier=FewShotClassifier,
)
