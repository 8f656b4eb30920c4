"""Tagged rows from CoNLL, CoNLL-U, JSON lines and lists; what is wrong is all told."""

import json

import pytest

import kerasft as kft
from kerasft._errors import DataError, SettingsError

CONLL = """-DOCSTART- -X- O O

EU NNP I-NP I-ORG
rejects VBZ I-VP O

Peter NNP I-NP I-PER
Blackburn NNP I-NP I-PER

"""
CONLLU = """# text = He's here
1-2\tHe's\t_\t_\t_\t_\t_\t_\t_\t_
1\tHe\the\tPRON\tPRP\t_\t3\tnsubj\t_\t_
2\t's\tbe\tAUX\tVBZ\t_\t3\tcop\t_\t_
3\there\there\tADV\tRB\t_\t0\troot\t_\t_
3.1\tgone\tgo\tVERB\t_\t_\t_\t_\t_\t_
"""


def written(tmp_path, text, name="rows"):
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    return path


def test_conll_columns_become_words_and_tags(tmp_path):
    path = written(tmp_path, CONLL)
    rows = kft.read_conll(path)
    assert [rows[i] for i in range(len(rows))] == [
        {"words": ["EU", "rejects"], "tags": ["I-ORG", "O"]},
        {"words": ["Peter", "Blackburn"], "tags": ["I-PER", "I-PER"]},
    ]
    assert rows.labels == ("O", "I-ORG", "I-PER")
    assert [rows.where(i) for i in range(2)] == [f"{path}:3", f"{path}:6"]
    assert kft.read_conll(path, tag=1).labels == ("NNP", "VBZ")
    assert not kft.read_conll(path, tag=None).has_labels


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_a_file_may_end_within_a_sentence(end, tmp_path):
    path = tmp_path / "rows"
    path.write_bytes(f"a X{end}b Y{end}{end} {end}c X".encode())
    rows = kft.read_conll(path)
    assert [row["tags"] for row in map(rows.__getitem__, range(2))] == [
        ["X", "Y"],
        ["X"],
    ]


def test_conllu_keeps_syntactic_words_alone(tmp_path):
    rows = kft.read_conllu(written(tmp_path, CONLLU))
    assert rows[0] == {"words": ["He", "'s", "here"], "tags": ["PRON", "AUX", "ADV"]}
    assert kft.read_conllu(written(tmp_path, CONLLU), tag="deprel").labels == (
        "cop",
        "nsubj",
        "root",
    )
    with pytest.raises(SettingsError, match="Did you mean 'upos'"):
        kft.read_conllu(written(tmp_path, CONLLU), tag="upo")


def test_every_bad_sentence_is_told_with_its_line(tmp_path):
    path = written(tmp_path, "a X\n\nb\n\nc X\n\nd\n")
    with pytest.raises(DataError) as error:
        kft.read_conll(path)
    told = str(error.value)
    assert "2 bad rows, 2 good" in told
    assert f"{path}:3: found 1 columns" in told and f"{path}:7:" in told
    rows = kft.read_conll(path, on_bad_rows="skip")
    assert len(rows) == 2 and rows.rejected == 2
    assert "b" in (tmp_path / "rejected.csv").read_text()


def test_json_lines_of_words_take_names_or_numbers(tmp_path):
    lines = [{"tokens": ["a", "b"], "ner": [0, 1]}, {"tokens": ["c"], "ner": [1]}]
    path = written(tmp_path, "\n".join(map(json.dumps, lines)))
    rows = kft.read_tagged_jsonl(path, words="tokens", tags="ner", names=["O", "B-X"])
    assert rows[0]["tags"] == ["O", "B-X"]
    with pytest.raises(DataError, match="Numbers need names"):
        kft.read_tagged_jsonl(path, words="tokens", tags="ner")


def test_json_lines_of_spans_take_objects_or_lists(tmp_path):
    spans = [{"start": 5, "end": 9, "label": "DOG"}, [0, 4, "PER"]]
    path = written(tmp_path, json.dumps({"text": "Mary barks", "spans": spans}))
    rows = kft.read_tagged_jsonl(path, text="text", spans="spans")
    assert rows[0]["spans"] == [
        {"start": 0, "end": 4, "label": "PER"},
        {"start": 5, "end": 9, "label": "DOG"},
    ]
    assert rows.labels == ("O", "B-DOG", "I-DOG", "B-PER", "I-PER")
    assert rows.label_counts == {"PER": 1, "DOG": 1}


@pytest.mark.parametrize(
    "spans, what",
    [
        ([(0, 2, "A"), (1, 3, "B")], "overlap"),
        ([(0, 99, "A")], "within 5 characters"),
        ([(3, 3, "A")], "start, end and label"),
        ([(0, 2)], "start, end and label"),
        ([(0, 2, "")], "start, end and label"),
        ([(0.0, 2, "A")], "start, end and label"),
    ],
)
def test_spans_that_cannot_be_are_refused(spans, what):
    with pytest.raises(DataError, match=what):
        kft.from_spans(["abcde"], [spans])


@pytest.mark.parametrize(
    "words, tags, what",
    [
        ([["a", "b"]], [["X"]], "1 tags for 2 words"),
        ([[]], [[]], "a list of words"),
        ([["a", " "]], [["X", "Y"]], "the word ' '"),
        ([["a"]], [[3]], "Numbers need names"),
        ([["a"], ["b"]], [["X"]], "2 rows, but labels for 1"),
        (["a b"], [["X", "Y"]], "a list of words"),
    ],
)
def test_words_and_tags_that_do_not_fit_are_refused(words, tags, what):
    with pytest.raises(DataError, match=what):
        kft.from_tags(words, tags)


def test_rows_can_be_chosen_and_split():
    rows = kft.from_tags([[w] for w in "abcdefghij"], [["X"]] * 10)
    assert [rows.select([3, 1])[i]["words"] for i in range(2)] == [["d"], ["b"]]
    train, test = kft.split(rows, (0.8, 0.2))
    assert len(train) == 8 and len(test) == 2
    assert train.fingerprint != test.fingerprint == test.select([0, 1]).fingerprint
    assert kft.duplicates_between(rows, test).exact == 2
    with pytest.raises(DataError, match="outside 0 to 9"):
        rows.select([10])
