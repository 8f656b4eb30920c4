"""The jobs of all tasks that are fine-tuned, by the task's name."""

from kerasft._registry import Registry
from kerasft.workflows.causal_job import CausalJob
from kerasft.workflows.choice_job import ChoiceJob
from kerasft.workflows.embedder_job import EmbedderJob
from kerasft.workflows.few_shot_job import FewShotJob
from kerasft.workflows.question_job import QuestionJob
from kerasft.workflows.relation_job import RelationJob, TripleJob
from kerasft.workflows.tag_job import TagJob
from kerasft.workflows.text_job import TextJob

_ALL = (
    TextJob(),
    TagJob(),
    QuestionJob(),
    ChoiceJob(),
    RelationJob(),
    TripleJob(),
    EmbedderJob(),
    FewShotJob(),
    CausalJob(),
)
JOBS = Registry("task", **{job.task: job for job in _ALL})
