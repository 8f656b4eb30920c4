"""Rows of choices, and the examples that are made of them."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_tokenizers import save_tokenizer
from tokenizers import Tokenizer as Reference

import kerasft as kft
from kerasft._errors import DataError
from kerasft.data.choosing import choice_examples
from kerasft.data.tokenizer import Tokenizer

RACE = {"article": "A film.", "question": "Is it", "options": ["good", "bad", "a plot"]}
SWAG = {"sent1": "A film.", "sent2": "It", "label": 1}
SWAG |= {f"ending{i}": text for i, text in enumerate(["is", "was", "very", "not"])}


@pytest.fixture
def file(tmp_path):
    def write(*lines):
        path = tmp_path / "rows.jsonl"
        path.write_text("\n".join(map(json.dumps, lines)))
        return path

    return write


def test_rows_of_race_and_swag_are_read(file):
    path = file(RACE | {"answer": "C"}, RACE | {"answer": 0, "options": ["x", "y"]})
    rows = kft.read_choices_jsonl(path, "article", "options", "answer", "question")
    assert rows[0] == {
        "context": "A film.",
        "question": "Is it",
        "choices": ["good", "bad", "a plot"],
        "label": 2,
    }
    assert rows[1]["choices"] == ["x", "y"] and rows[1]["label"] == 0
    assert rows.where(1) == f"{path}:2" and rows.label_type == "choice"
    endings = [f"ending{i}" for i in range(4)]
    rows = kft.read_choices_jsonl(file(SWAG), "sent1", endings, "label", "sent2")
    assert rows[0]["choices"] == ["is", "was", "very", "not"]
    bare = kft.read_choices_jsonl(file(RACE), "article", "options")
    assert bare[0] == {"context": "A film.", "choices": RACE["options"]}
    assert not bare.has_labels and bare.label_type == "none"


BAD = {
    "too many": ({"answer": 3}, 'the label 3, expected a number from 0 to 2, or "A"'),
    "another letter": ({"answer": "D"}, 'the label \'D\', .* or "A" to "C"'),
    "a word": ({"answer": "good"}, "the label 'good'"),
    "nothing": ({"answer": ""}, "the label ''"),
    "true": ({"answer": True}, "the label True"),
    "none": ({"answer": None}, "the label None"),
    "one choice": ({"options": ["good"]}, "a list of two texts or more"),
    "a text": ({"options": "good"}, "a list of two texts or more"),
    "a number": ({"options": ["good", 7]}, "7 in column 'choices'"),
    "blank": ({"options": ["good", " "]}, "a blank choice"),
    "no text": ({"article": None}, "nothing in column 'context'"),
    "no question": ({"question": 7}, "7 in column 'question'"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_row_is_told_with_its_line(file, name):
    wrong, message = BAD[name]
    path = file(RACE | {"answer": "A"}, RACE | {"answer": "A"} | wrong)
    with pytest.raises(DataError, match="rows.jsonl:2: .*" + message):
        kft.read_choices_jsonl(path, "article", "options", "answer", "question")
    rows = kft.read_choices_jsonl(
        path, "article", "options", "answer", "question", on_bad_rows="skip"
    )
    assert len(rows) == 1 and rows.rejected == 1


def test_lists_become_rows():
    rows = kft.from_choices(["a", "b"], [["x", "y"], ["x", "y", "z"]], [1, np.int64(2)])
    assert [rows[i]["label"] for i in range(2)] == [1, 2]
    asked = kft.from_choices(["a"], [("x", "y")], questions=["q"])
    assert asked[0] == {"context": "a", "question": "q", "choices": ["x", "y"]}
    with pytest.raises(DataError, match=r"\[2, 1\]"):
        kft.from_choices(["a", "b"], [["x", "y"]])
    with pytest.raises(DataError, match=r"choices\[0\]: .*label 2"):
        kft.from_choices(["a"], [["x", "y"]], [2])


LENGTH = 14
WORDS = ["a", "good", "film", "x-y", "é", "[SEP]"]
texts = st.lists(st.sampled_from(WORDS), min_size=1, max_size=12).map(" ".join)
row = st.tuples(texts, st.lists(texts, min_size=2, max_size=4), st.none() | texts)


@pytest.fixture(scope="module", params=[True, False], ids=["types", "no types"])
def tokenizer(request, tmp_path_factory):
    folder = save_tokenizer(tmp_path_factory.mktemp("tiny"), typed=request.param)
    return Tokenizer.from_pretrained(folder, LENGTH)


@settings(max_examples=150, deadline=None)
@given(st.lists(row, min_size=1, max_size=3))
def test_examples_are_the_references_with_the_context_cut_alone(tokenizer, asked):
    contexts, choices, questions = zip(*asked, strict=True)
    questions = [question or "the plot" for question in questions]
    rows = kft.from_choices(contexts, choices, questions=questions)
    found = choice_examples(rows, tokenizer)
    columns = found.examples.columns
    assert found.counts.tolist() == [len(some) for some in choices]
    assert len(columns) == max(found.counts)
    backend = Reference.from_str(tokenizer.backend.to_str())
    backend.encode_special_tokens = True
    room = LENGTH - backend.num_special_tokens_to_add(is_pair=True)
    for i, (context, some) in enumerate(zip(contexts, choices, strict=True)):
        for k, column in enumerate(columns):
            first = column.starts[i]
            ids = column.ids[first : first + column.lengths[i]].tolist()
            if k >= len(some):
                assert ids == []
                continue
            second = f"{questions[i]} {some[k]}"
            alone = backend.encode(second, add_special_tokens=False).ids
            if len(alone) < room:
                backend.enable_truncation(LENGTH, strategy="only_first")
                expected = backend.encode(context, second)
                backend.no_truncation()
                assert ids == expected.ids
                types = np.arange(len(ids)) >= column.second_starts[i]
                assert types.astype(int).tolist() == expected.type_ids
            else:
                assert len(ids) == LENGTH
                assert ids[-1 - room : -1] == alone[-room:]


def test_without_a_question_the_second_text_is_the_choice(tokenizer):
    rows = kft.from_choices(["a film"], [["good", "bad film"]])
    first, second = choice_examples(rows, tokenizer).examples.columns
    encode = tokenizer.backend.encode
    assert first.ids.tolist() == encode("a film", "good").ids
    assert second.ids.tolist() == encode("a film", "bad film").ids
    with pytest.raises(DataError, match="no rows"):
        choice_examples(rows.select([]), tokenizer)
