"""The jobs of all tasks that the commands know, by the task's name."""

from kerasft._registry import Registry
from kerasft.workflows.question_job import QuestionJob
from kerasft.workflows.tag_job import TagJob
from kerasft.workflows.text_job import TextJob

JOBS = Registry(
    "task", **{job.task: job for job in (TextJob(), TagJob(), QuestionJob())}
)
