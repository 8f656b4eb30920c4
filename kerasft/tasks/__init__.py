"""Tasks: a backbone with a head, its loss and metrics; all of them in `TASKS`."""

from kerasft._registry import Registry
from kerasft.tasks.text_classifier import TextClassifier

__all__ = ["TASKS", "TextClassifier"]

TASKS = Registry("task", text_classifier=TextClassifier)
