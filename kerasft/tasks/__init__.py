"""Tasks: a backbone with a head, its loss and metrics; all of them in `TASKS`."""

from kerasft._registry import Registry
from kerasft.tasks.multiple_choice import MultipleChoice
from kerasft.tasks.question_answerer import QuestionAnswerer
from kerasft.tasks.text_classifier import TextClassifier
from kerasft.tasks.token_classifier import TokenClassifier

__all__ = [
    "TASKS",
    "MultipleChoice",
    "QuestionAnswerer",
    "TextClassifier",
    "TokenClassifier",
]

TASKS = Registry(
    "task",
    text_classifier=TextClassifier,
    token_classifier=TokenClassifier,
    question_answerer=QuestionAnswerer,
    multiple_choice=MultipleChoice,
)
