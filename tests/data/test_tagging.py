"""Tagged rows to examples: tags on first tokens, windows, spans; as the reference."""

import numpy as np
import pytest
from tiny_tokenizers import save_tokenizer
from transformers import AutoTokenizer

import kerasft as kft
from kerasft._errors import DataError
from kerasft.data.tagging import tag_examples
from kerasft.data.tokenizer import Tokenizer
from kerasft.objectives.spans import TagSet

TAGS = ("O", "B-GOOD", "I-GOOD")
WORDS = ["the", "greatly", "films", ",", "goodsly"]
ROW = ["O", "B-GOOD", "I-GOOD", "O", "B-GOOD"]


@pytest.fixture
def folder(tmp_path):
    save_tokenizer(tmp_path)
    return tmp_path


def test_ids_and_labels_are_those_of_the_usual_recipe(folder):
    rows = kft.from_tags([WORDS, ["film"]], [ROW, ["O"]])
    found = tag_examples(rows, Tokenizer.from_pretrained(folder, 40), TAGS)
    encoded = AutoTokenizer.from_pretrained(folder)(WORDS, is_split_into_words=True)
    labels, before = [], None
    for word in encoded.word_ids():
        scored = word is not None and word != before
        labels.append(TAGS.index(ROW[word]) if scored else -100)
        before = word
    length = found.examples.lengths[0]
    assert found.examples.ids[:length].tolist() == encoded["input_ids"]
    assert found.labels[:length].tolist() == labels
    assert length > len(WORDS) + 2  # Some words are several tokens.


@pytest.mark.parametrize("overlap", [0, 1, 3])
def test_every_word_of_a_long_row_is_scored_once(overlap, folder):
    tags = [TAGS[i % 3] for i in range(len(WORDS) * 9)]
    rows = kft.from_tags([WORDS * 9, WORDS], [tags, ROW])
    tokenizer = Tokenizer.from_pretrained(folder, 9)
    found = tag_examples(rows, tokenizer, TAGS, overlap)
    assert found.examples.lengths.max() == 9 and len(found.rows) > 9
    answered = found.words[found.words >= 0]
    assert sorted(answered) == list(range(len(WORDS) * 10))
    np.testing.assert_array_equal(
        found.labels[found.words >= 0], found.tags[answered], strict=True
    )
    assert (found.labels[found.words < 0] == -100).all()


def test_windows_do_not_part_within_an_entity(folder):
    tags = (["O", "B-GOOD", "I-GOOD"] * 10)[:30]
    rows = kft.from_tags([["film"] * 30], [tags])
    inside = TagSet(TAGS, "IOB2").inside
    tokenizer = Tokenizer.from_pretrained(folder, 12)
    found = tag_examples(rows, tokenizer, TAGS, 4, inside)
    for i, start in enumerate(found.examples.starts):
        labels = found.labels[start : start + found.examples.lengths[i]]
        scored = labels[labels >= 0]
        assert not len(scored) or scored[0] != 2


def test_spans_of_characters_become_tags_of_the_words_they_cover(folder):
    text = "A  great good film, awful!"
    rows = kft.from_spans([text], [[(3, 13, "GOOD"), (18, 25, "GOOD")]])
    found = tag_examples(rows, Tokenizer.from_pretrained(folder, 40), rows.labels)
    words = [text[a:b] for a, b in zip(found.starts, found.ends, strict=True)]
    named = [rows.labels[tag] for tag in found.tags]
    assert list(zip(words, named, strict=True)) == [
        ("A", "O"),
        ("great", "B-GOOD"),
        ("good", "I-GOOD"),
        ("film", "O"),
        (",", "B-GOOD"),
        ("awful", "I-GOOD"),
        ("!", "O"),
    ]
    assert found.cut_spans == 0
    cut = kft.from_spans([text], [[(4, 10, "GOOD")]])
    found = tag_examples(cut, Tokenizer.from_pretrained(folder, 40), rows.labels)
    assert found.cut_spans == 1 and (found.tags > 0).sum() == 2


def test_spans_follow_the_scheme_of_the_tags(folder):
    rows = kft.from_spans(["a great good film"], [[(0, 1, "X"), (2, 17, "X")]])
    for names, expected in {
        ("O", "B-X", "I-X", "E-X", "S-X"): ["S-X", "B-X", "I-X", "E-X"],
        ("O", "B-X", "I-X", "L-X", "U-X"): ["U-X", "B-X", "I-X", "L-X"],
        ("O", "B-X", "I-X"): ["B-X", "B-X", "I-X", "I-X"],
    }.items():
        found = tag_examples(rows, Tokenizer.from_pretrained(folder, 40), names)
        assert [names[tag] for tag in found.tags] == expected


def test_words_without_a_token_are_left_out(folder):
    rows = kft.from_tags([["a", "\u200b", "film"]], [["O", "B-GOOD", "O"]])
    found = tag_examples(rows, Tokenizer.from_pretrained(folder, 40), TAGS)
    assert sorted(found.words[found.words >= 0]) == [0, 2]
    assert (found.labels >= 0).sum() == 2


def test_tags_that_the_task_does_not_know_are_refused(folder):
    tokenizer = Tokenizer.from_pretrained(folder, 40)
    with pytest.raises(DataError, match="B-GOOOD.*Did you mean 'B-GOOD'"):
        tag_examples(kft.from_tags([["a"]], [["B-GOOOD"]]), tokenizer, TAGS)
    with pytest.raises(DataError, match="spans labelled PER"):
        tag_examples(kft.from_spans(["a"], [[(0, 1, "PER")]]), tokenizer, TAGS)
