"""What the columns of data files are, as settings: a class for each kind of rows."""

from dataclasses import dataclass, replace
from typing import Literal

from kerasft.training.settings import Settings, setting


@dataclass(frozen=True, kw_only=True)
class TextSettings(Settings):
    """Texts in the data files."""

    text: str = setting("text", "column of the text")
    encoding: str = setting("utf-8", "of text files, as Python names it")
    delimiter: str | None = setting(None, "of .csv files; null: a comma")


@dataclass(frozen=True, kw_only=True)
class PairSettings(Settings):
    """Further texts of a row in the data files."""

    text_pair: str | None = setting(None, "column of a second text")
    negative: str | None = setting(
        None,
        "column of a third text, which does not belong to the first as the second "
        "does, for text_embedder",
    )


@dataclass(frozen=True, kw_only=True)
class LabelSettings(Settings):
    """Labels in the data files."""

    label: list[str] | str | None = setting(
        "label", "column of the label, or several; null: there is none"
    )
    label_type: Literal["name", "names", "number"] | None = setting(
        None, "one name, several names, or numbers; null: by the problem"
    )
    label_separator: str | None = setting(
        None, "what stands between several label names in one cell"
    )


@dataclass(frozen=True, kw_only=True)
class TaggedSettings(Settings):
    """Tagged words in the data files, for token_classifier."""

    words: str | None = setting(None, "key of the list of words, in .jsonl")
    tags: str | None = setting(
        None, "key of their tags, in .jsonl; column, in .conllu (null: upos)"
    )
    spans: str | None = setting(
        None, "key of the labelled spans of the text, in .jsonl"
    )
    word_column: int = setting(0, "column of the word, in .conll, from 0")
    tag_column: int = setting(-1, "column of the tag, in .conll; -1: the last")


@dataclass(frozen=True, kw_only=True)
class QuestionSettings(Settings):
    """Questions in .jsonl files, for question_answerer and multiple_choice."""

    question: str | None = setting(
        None,
        "key of the question; null: question, and of multiple_choice: there is none",
    )
    context: str = setting("context", "key of the text that it is about")
    answer: str | None = setting("answers", "key of the answer, or of all accepted")
    answer_start: str | None = setting(
        None, "key of the answer's first character; null: it stands in the answer"
    )


@dataclass(frozen=True, kw_only=True)
class ChoiceSettings(Settings):
    """Choices in .jsonl files, for multiple_choice."""

    choices: list[str] | str = setting(
        "choices", "key of the list of choices, or several keys of one choice each"
    )


@dataclass(frozen=True, kw_only=True)
class MentionSettings(Settings):
    """Mentions in .jsonl files, for relation_extractor and triple_extractor."""

    head: list[str] | str = setting(
        "head", "key of the first mention, or the two of its start and its end"
    )
    tail: list[str] | str = setting("tail", "the same of the second mention")
    inclusive: bool = setting(
        False, "whether a mention's end is its last character or word, not the next"
    )
    triples: str | None = setting("triples", "key of the list of triples")
    triple_keys: list[str] | None = setting(
        None,
        "what a triple's subject, relation and object are called; null: these names",
    )


@dataclass(frozen=True, kw_only=True)
class DocumentSettings(Settings):
    """Documents in .txt files, to pretrain on."""

    documents: Literal["blocks", "lines"] = setting(
        "blocks", "what a document is: lines up to a blank one, or a line"
    )


@dataclass(frozen=True, kw_only=True)
class ConversationSettings(Settings):
    """Conversations in .jsonl, .json or .parquet files, for causal_lm."""

    conversations: bool = setting(
        False,
        "rows are messages, ShareGPT's, Alpaca's, or prompt and completion; not texts",
    )
    prompt: str | None = setting(None, "key of a prompt; null: prompt")
    completion: str | None = setting(None, "key of its completion; null: completion")


@dataclass(frozen=True, kw_only=True)
class ColumnSettings(
    ConversationSettings,
    DocumentSettings,
    MentionSettings,
    ChoiceSettings,
    QuestionSettings,
    TaggedSettings,
    LabelSettings,
    PairSettings,
    TextSettings,
):
    """What the columns of the data files are."""

    def without_labels(self):
        """The same without the label."""
        return replace(self, label=None, label_type=None, label_separator=None)
