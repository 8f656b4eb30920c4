"""What commands may be told of new data and of the model; else it is as in training."""

from dataclasses import dataclass

from kerasft.training import column_settings as columns
from kerasft.training.settings import ModelSettings, overrides
from kerasft.training.task_settings import AnswerReportSettings

AS_BEFORE = "null: as in training."
Texts = overrides(columns.TextSettings, f"Texts in the data; {AS_BEFORE}")
Pairs = overrides(columns.PairSettings, f"Further texts of a row; {AS_BEFORE}")
Labels = overrides(columns.LabelSettings, f"Labels in the data; {AS_BEFORE}")
Tagged = overrides(columns.TaggedSettings, f"Tagged words in the data; {AS_BEFORE}")
Questions = overrides(columns.QuestionSettings, f"Questions in the data; {AS_BEFORE}")
Choices = overrides(columns.ChoiceSettings, f"Choices in the data; {AS_BEFORE}")
Mentions = overrides(columns.MentionSettings, f"Mentions in the data; {AS_BEFORE}")
Documents = overrides(columns.DocumentSettings, f"Documents in .txt; {AS_BEFORE}")
Conversations = overrides(
    columns.ConversationSettings, f"Conversations in the data; {AS_BEFORE}"
)
Answered = overrides(
    AnswerReportSettings, f"Answers that are written and compared; {AS_BEFORE}"
)
Model = overrides(ModelSettings, f"Model; {AS_BEFORE}")


@dataclass(frozen=True, kw_only=True)
class DataOverrides(
    Texts,
    Pairs,
    Tagged,
    Questions,
    Choices,
    Mentions,
    Documents,
    Conversations,
    Model,
):
    """What is asked, and the model."""
