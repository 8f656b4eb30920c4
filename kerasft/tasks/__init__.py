"""Tasks: a backbone with a head, its loss and metrics; all of them in `TASKS`."""

from kerasft._registry import Registry
from kerasft.tasks.causal_lm import CausalLM
from kerasft.tasks.few_shot import FewShotClassifier
from kerasft.tasks.masked_lm import MaskedLM
from kerasft.tasks.multiple_choice import MultipleChoice
from kerasft.tasks.pretraining import Pretraining
from kerasft.tasks.question_answerer import QuestionAnswerer
from kerasft.tasks.relation_extractor import RelationExtractor
from kerasft.tasks.replaced_tokens import ReplacedTokenDetection
from kerasft.tasks.text_classifier import TextClassifier
from kerasft.tasks.text_embedder import TextEmbedder
from kerasft.tasks.token_classifier import TokenClassifier
from kerasft.tasks.triple_extractor import TripleExtractor

__all__ = [
    "TASKS",
    "CausalLM",
    "FewShotClassifier",
    "MaskedLM",
    "MultipleChoice",
    "Pretraining",
    "QuestionAnswerer",
    "RelationExtractor",
    "ReplacedTokenDetection",
    "TextClassifier",
    "TextEmbedder",
    "TokenClassifier",
    "TripleExtractor",
]

TASKS = Registry(
    "task",
    text_classifier=TextClassifier,
    token_classifier=TokenClassifier,
    question_answerer=QuestionAnswerer,
    masked_lm=MaskedLM,
    causal_lm=CausalLM,
    text_embedder=TextEmbedder,
    multiple_choice=MultipleChoice,
    pretraining=Pretraining,
    few_shot_classifier=FewShotClassifier,
    replaced_token_detection=ReplacedTokenDetection,
    relation_extractor=RelationExtractor,
    triple_extractor=TripleExtractor,
)
