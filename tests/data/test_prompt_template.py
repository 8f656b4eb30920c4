"""Prompts from template files: values as they are, and mistakes told at once."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import kerasft as kft
from kerasft._errors import DataError

FILE = """[introduction]
Good or bad? Answer in {{braces}}.
[example]
Review: {text}
Mood: {label}

[question]
Review: {text}
Mood:
"""


def written(folder, text):
    path = folder / "template.txt"
    path.write_text(text, encoding="utf-8")
    return path


def test_examples_stand_between_introduction_and_question(tmp_path):
    template = kft.PromptTemplate.from_file(written(tmp_path, FILE))
    examples = [{"text": "nice", "label": "good"}, {"text": "dull", "label": "bad"}]
    assert template.prompt({"text": "fine", "id": 3}, examples) == (
        "Good or bad? Answer in {braces}.\n\nReview: nice\nMood: good\n\n"
        "Review: dull\nMood: bad\n\nReview: fine\nMood:"
    )
    assert template.prompt({"text": "fine"}).endswith("}.\n\nReview: fine\nMood:")
    assert template.fields("example") == ("text", "label")


@settings(deadline=None)
@given(st.text(), st.text())
def test_a_value_stands_in_the_prompt_as_it_is(text, label):
    template = kft.PromptTemplate("<{text}>{{{label}}}", "{label}|{text}", between="")
    row = {"text": text, "label": label}
    assert template.prompt(row, [row]) == f"{label}|{text}<{text}>{{{label}}}"


@settings(deadline=None)
@given(st.text(alphabet="{}ab[] \n"))
def test_any_text_is_a_question_or_a_told_mistake(text):
    try:
        template = kft.PromptTemplate(text)
    except DataError:
        return
    shown = template.prompt({name: "§" for name in template.fields()})
    doubled = shown.replace("{", "{{").replace("}", "}}")
    assert kft.PromptTemplate(doubled).prompt({}) == shown


@pytest.mark.parametrize(
    "text, words",
    [
        ("Review: {text}", ["'Review: {text}' stands under no", "no [question]"]),
        ("[qestion]\na", ["[qestion] is no part", "no [question]", "[example]"]),
        ("[question]\na\n[question]\nb", ["twice"]),
        ("[question]\n{text", ["template.txt", "question: '{' at character 1"]),
        ("[question]\n{a b} }", ["'{' at", "'}' at character 5", "'}' at character 7"]),
        ("[question]\n\n", ["question: is blank"]),
        ("[introduction]\n{a}\n[question]\nb", ["introduction: has fields"]),
    ],
)
def test_mistakes_in_a_file_are_told(tmp_path, text, words):
    with pytest.raises(DataError) as error:
        kft.PromptTemplate.from_file(written(tmp_path, text))
    for word in words:
        assert word in str(error.value)


def test_a_file_that_is_not_there_is_told(tmp_path):
    with pytest.raises(DataError, match="Cannot read .*none"):
        kft.PromptTemplate.from_file(tmp_path / "none")


def test_all_fields_that_are_lacking_are_told_at_once():
    template = kft.PromptTemplate("{a} {b}", "{a} {c}")
    with pytest.raises(DataError) as error:
        template.prompt({"a": "1", "d": "2"}, [{"a": "1"}, {"c": None}])
    assert str(error.value).splitlines() == [
        "The row lacks b of [question]; its fields: a, d.",
        "Example 0 lacks c of [example]; its fields: a.",
        "Example 1 lacks a, c of [example]; its fields: c.",
    ]
    with pytest.raises(DataError, match="no \\[example\\]"):
        kft.PromptTemplate("{a}").prompt({"a": 1}, [{"a": 1}])
