"""Tasks: a backbone with a head, its loss and metrics; all of them in `TASKS`."""

from kerasft._registry import Registry
from kerasft.tasks.text_classifier import TextClassifier
from kerasft.tasks.text_embedder import TextEmbedder
from kerasft.tasks.token_classifier import TokenClassifier

__all__ = ["TASKS", "TextClassifier", "TextEmbedder", "TokenClassifier"]

TASKS = Registry(
    "task",
    text_classifier=TextClassifier,
    token_classifier=TokenClassifier,
    text_embedder=TextEmbedder,
)
