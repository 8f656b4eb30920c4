"""Rows of questions: SQuAD's JSON, JSON lines, lists; what is refused, and where."""

import csv
import json

import numpy as np
import pytest

import kerasft as kft
from kerasft._errors import DataError, SettingsError

CONTEXT = "Ada wrote notes in 1843. Ünïted ﬁlms made a film of Ada."
ADA = {"text": "Ada", "answer_start": 0}
LATER = {"text": "Ada", "answer_start": CONTEXT.rindex("Ada")}
YEAR = {"text": "1843", "answer_start": CONTEXT.index("1843")}


def asked(name, question, answers, **more):
    return {"id": name, "question": question, "answers": answers, **more}


def squad(*paragraphs, version="v2.0"):
    """A file of one article."""
    content = [{"context": text, "qas": list(qas)} for text, *qas in paragraphs]
    return {"version": version, "data": [{"title": "Ada", "paragraphs": content}]}


VERSION_2 = squad(
    (
        CONTEXT,
        asked("a", "Who wrote?", [ADA, LATER], is_impossible=False),
        asked("b", "When?", [YEAR], is_impossible=False),
    ),
    (
        "Nothing here.",
        asked(
            "c",
            "Where?",
            [],
            is_impossible=True,
            plausible_answers=[{"text": "here", "answer_start": 8}],
        ),
    ),
)


@pytest.fixture
def file(tmp_path):
    def write(content, name="squad.json"):
        path = tmp_path / name
        path.write_text(json.dumps(content) if name.endswith("json") else content)
        return path

    return write


def test_squads_nested_json_becomes_rows(file):
    rows = kft.read_squad(file(VERSION_2))
    assert len(rows) == 3
    assert rows.has_labels and rows.label_type == "answers"
    assert rows[0] == {
        "id": "a",
        "question": "Who wrote?",
        "context": CONTEXT,
        "answers": [
            {"text": "Ada", "start": 0},
            {"text": "Ada", "start": LATER["answer_start"]},
        ],
    }
    assert rows[-1]["answers"] == []
    assert rows.accepted == [["Ada", "Ada"], ["1843"], []]
    assert rows.where(1).endswith("squad.json[1]")


def test_version_1_has_no_word_on_what_is_impossible(file):
    content = squad((CONTEXT, asked("a", "When?", [YEAR])), version="1.1")
    assert kft.read_squad(file(content)).accepted == [["1843"]]


def test_a_test_set_is_read_without_answers(file):
    content = squad((CONTEXT, {"id": "a", "question": "When?"}))
    rows = kft.read_squad(file(content), answers=False)
    assert rows[0] == {"id": "a", "question": "When?", "context": CONTEXT}
    assert rows.label_type == "none"
    with pytest.raises(DataError, match="a key 'answers'"):
        kft.read_squad(file(content))


def test_several_files_make_one_corpus(file):
    one, two = file(VERSION_2, "one.json"), file(VERSION_2, "two.json")
    rows = kft.read_squad([one, two])
    assert len(rows) == 6
    assert rows.where(4).endswith("two.json[1]")


BAD = {
    "another place": (
        asked("x", "Who?", [{"text": "Ada", "answer_start": 1}]),
        "'da ' at character 1.*expected the answer 'Ada'. It stands at 0",
    ),
    "nowhere": (
        asked("x", "Who?", [{"text": "Eve", "answer_start": 0}]),
        "'Ada' at character 0.*expected the answer 'Eve'\\.$",
    ),
    "outside": (
        asked("x", "Who?", [{"text": "Ada", "answer_start": 999}]),
        "start 999",
    ),
    "negative": (asked("x", "Who?", [{"text": ".", "answer_start": -1}]), "start -1"),
    "true": (asked("x", "Who?", [{"text": "d", "answer_start": True}]), "start True"),
    "blank": (asked("x", "Who?", [{"text": " ", "answer_start": 3}]), "give \\[\\]"),
    "no start": (asked("x", "Who?", [{"text": "Ada"}]), "text and start"),
    "a bare text": (asked("x", "Who?", ["Ada"]), "text and start"),
    "no question": ({"id": "x", "answers": []}, "expected a key 'question'"),
    "a number": (asked("x", 7, []), "7 in column 'question'"),
    "possible": (asked("x", "Who?", [], is_impossible=False), "is_impossible False"),
    "impossible": (asked("x", "?", [ADA], is_impossible=True), "is_impossible True"),
    "no object": ("Who?", "expected a dict"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_question_is_told_with_its_place_and_id(file, name):
    question, message = BAD[name]
    good = asked("good", "When?", [YEAR])
    path = file(squad((CONTEXT, good, question)))
    with pytest.raises(DataError, match="1 bad row, 1 good") as caught:
        kft.read_squad(path)
    (line,) = [line for line in str(caught.value).split("\n") if line[:2] == "  "]
    assert line.startswith(f"  {path}[1]: found ")
    assert "data[0].paragraphs[0].qas[1]" in line
    if isinstance(question, dict):
        assert ", id x)" in line
    with pytest.raises(DataError, match="(?m)" + message):
        kft.read_squad(path)


def test_all_bad_questions_are_told_or_set_aside(file, tmp_path):
    bad = [question for question, _ in BAD.values()]
    path = file(squad((CONTEXT, asked("good", "When?", [YEAR]), *bad)))
    with pytest.raises(DataError, match=f"{len(bad)} bad rows, 1 good") as caught:
        kft.read_squad(path)
    assert str(caught.value).count("squad.json[") == len(bad)
    rows = kft.read_squad(path, on_bad_rows="skip")
    assert rows.accepted == [["1843"]] and rows.rejected == len(bad)
    with open(tmp_path / "rejected.csv", newline="") as aside:
        assert len(list(csv.reader(aside))) == 1 + len(bad)


@pytest.mark.parametrize(
    "content, message",
    [
        ([], "found a JSON array"),
        ({"rows": []}, "the keys \\['rows'\\], expected an object with a list 'data'"),
        ({"data": {}}, "a list 'data'"),
        ({"data": [{"title": "x"}]}, r"a list 'paragraphs'"),
        ({"data": [{"paragraphs": [7]}]}, r"found 7 \(data\[0\].paragraphs\[0\]\)"),
        ({"data": [{"paragraphs": [{"context": "x"}]}]}, "a list 'qas'"),
        ({"data": []}, "found no rows"),
        (
            {"data": [{"paragraphs": [{"qas": [asked("x", "Who?", [])]}]}]},
            "nothing in column 'context'",
        ),
    ],
)
def test_another_layout_is_refused_with_what_is_missing(file, content, message):
    with pytest.raises(DataError, match=message):
        kft.read_squad(file(content))


def test_broken_json_is_told_with_its_character(tmp_path):
    path = tmp_path / "squad.json"
    path.write_text('{"data": [\n1, ]}')
    with pytest.raises(DataError, match="trailing comma at character 1[45]"):
        kft.read_squad(path)


LINES = {
    "text and start": ("a", "s", {"a": "1843", "s": 19}, ["1843"]),
    "lists": ("a", "s", {"a": ["Ada", "Ada"], "s": [0, 52]}, ["Ada", "Ada"]),
    "an object": ("a", None, {"a": {"text": "1843", "start": 19}}, ["1843"]),
    "objects": ("a", None, {"a": [ADA, {"text": "Ada", "start": 52}]}, ["Ada", "Ada"]),
    "as datasets has them": (
        "a",
        None,
        {"a": {"text": ["Ada"], "answer_start": [0]}},
        ["Ada"],
    ),
    "none, as datasets has it": (
        "a",
        None,
        {"a": {"text": [], "answer_start": []}},
        [],
    ),
    "null": ("a", "s", {"a": None, "s": None}, []),
    "empty": ("a", "s", {"a": "", "s": -1}, []),
    "an empty list": ("a", None, {"a": []}, []),
}


@pytest.mark.parametrize("form", LINES)
def test_json_lines_take_answers_in_every_usual_form(tmp_path, form):
    answer, start, values, accepted = LINES[form]
    path = tmp_path / "rows.jsonl"
    line = json.dumps({"q": "When?", "c": CONTEXT, **values})
    path.write_text(f"\n{line}\r\n")
    rows = kft.read_questions_jsonl(path, "q", "c", answer, start)
    assert rows.accepted == [accepted]
    assert rows.where(0) == f"{path}:2"
    bare = kft.read_questions_jsonl(path, "q", "c")
    assert bare[0] == {"question": "When?", "context": CONTEXT}


def test_bad_lines_are_told_with_their_number(tmp_path):
    path = tmp_path / "rows.jsonl"
    lines = [
        {"q": "When?", "c": CONTEXT, "a": "1843", "s": 19},
        {"q": "When?", "c": CONTEXT, "a": "1843", "s": 20},
        {"q": "When?", "c": CONTEXT, "a": "1843", "s": "19"},
        {"q": "When?", "c": CONTEXT, "a": ["1843"], "s": [1, 2]},
        {"q": "When?", "c": CONTEXT},
    ]
    path.write_text("\n".join(map(json.dumps, lines)))
    with pytest.raises(DataError, match="4 bad rows, 1 good") as caught:
        kft.read_questions_jsonl(path, "q", "c", "a", "s")
    message = str(caught.value)
    for line, told in (
        (2, "'843.' at character 20, expected the answer '1843'. It stands at 19."),
        (3, "the start '19'"),
        (4, "a start for each answer"),
        (5, "a key 'a'"),
    ):
        assert f"rows.jsonl:{line}: " in message and told in message
    rows = kft.read_questions_jsonl(path, "q", "c", "a", "s", on_bad_rows="skip")
    assert len(rows) == 1


def test_a_start_without_an_answer_is_refused(tmp_path):
    with pytest.raises(SettingsError, match="answer as well"):
        kft.read_questions_jsonl(tmp_path / "x.jsonl", "q", "c", start="s")


def test_lists_become_rows(file):
    rows = kft.from_questions(
        ["Who?", "When?", "Where?"],
        [CONTEXT] * 3,
        [[ADA, LATER], {"text": "1843", "start": np.int64(19)}, []],
    )
    assert rows.accepted == kft.read_squad(file(VERSION_2)).accepted
    assert rows[1]["answers"] == [{"text": "1843", "start": 19}]
    bare = kft.from_questions(["Who?"], [CONTEXT])
    assert not bare.has_labels and bare[0]["question"] == "Who?"
    with pytest.raises(DataError, match=r"\[1, 2\]"):
        kft.from_questions(["Who?"], [CONTEXT] * 2)
    with pytest.raises(DataError, match=r"questions\[1\]: found 'da '"):
        kft.from_questions(["?"] * 2, [CONTEXT] * 2, [ADA, {"text": "Ada", "start": 1}])


def test_a_datasets_columns_become_rows():
    import datasets

    row = {"id": "a", "question": "When?", "context": CONTEXT}
    answers = [
        {"text": ["1843"], "answer_start": [19]},
        {"text": [], "answer_start": []},
    ]
    data = datasets.Dataset.from_list([row | {"answers": a} for a in answers])
    rows = kft.from_questions(data["question"], data["context"], data["answers"])
    assert rows.accepted == [["1843"], []]


def test_a_selection_keeps_places_and_order(file):
    rows = kft.read_squad(file(VERSION_2)).select([2, 0])
    assert [row["id"] for row in (rows[0], rows[1])] == ["c", "a"]
    assert rows.where(0).endswith("[2]")
    assert rows.select([1]).accepted == [["Ada", "Ada"]]
    with pytest.raises(DataError, match="outside 0 to 1"):
        rows.select([2])
    with pytest.raises(IndexError):
        rows[2]
    train, valid = kft.split(kft.read_squad(file(VERSION_2)), (0.5, 0.5))
    assert len(train) + len(valid) == 3
