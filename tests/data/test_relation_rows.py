"""Relation and triple rows: what is read, what is refused, what becomes of it."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_tokenizers import save_tokenizer

import kerasft as kft
from kerasft._errors import DataError
from kerasft.data.relating import relation_examples
from kerasft.data.relation_rows import marked
from kerasft.data.tokenizer import Tokenizer
from kerasft.data.tripling import triple_examples

TEXT = "Ada wrote to Charles Babbage"
WORDS = TEXT.split()
ADA, CHARLES = (0, 3), (13, 28)


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory):
    folder = save_tokenizer(tmp_path_factory.mktemp("tokenizer"))
    return Tokenizer.from_pretrained(folder, 40)


def written(tmp_path, *rows):
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


def test_places_are_read_as_objects_as_pairs_and_as_two_keys(tmp_path):
    start, end = CHARLES
    row = {
        "text": TEXT,
        "object": {"start": 0, "end": 3},
        "pair": [start, end],
        "from": start,
        "to": end - 1,
        "first": 0,
        "last": 2,
        "relation": "knows",
    }
    path = written(tmp_path, row)
    rows = kft.read_relations_jsonl(path, "text", "object", "pair", "relation")
    expected = {
        "text": TEXT,
        "head": {"start": 0, "end": 3},
        "tail": {"start": start, "end": end},
        "label": "knows",
    }
    assert rows[0] == expected
    keys = ("first", "last"), ("from", "to")
    rows = kft.read_relations_jsonl(path, "text", *keys, "relation", inclusive=True)
    assert rows[0] == expected
    assert rows.labels == ("knows",) and rows.label_counts == {"knows": 1}


def test_places_among_words_become_characters():
    rows = kft.from_relations([WORDS], [(0, 1)], [(3, 5)])
    assert rows[0]["head"] == {"start": 0, "end": 3}
    assert rows[0]["tail"] == dict(zip(("start", "end"), CHARLES, strict=True))
    assert rows.label_type == "none"


@pytest.mark.parametrize(
    "head", [(0, 0), (3, 2), (-1, 2), (0, 99), (0,), 5, None, (0.0, 1.0), (True, 2), {}]
)
def test_what_is_no_place_is_refused_with_its_row(head):
    with pytest.raises(DataError, match=r"mention.*within 28 characters"):
        kft.from_relations([TEXT], [head], [CHARLES], ["knows"])


def test_every_bad_row_is_told(tmp_path):
    good = {"text": TEXT, "a": [0, 3], "b": [4, 9], "r": "x"}
    path = written(
        tmp_path, good, {**good, "a": [0, 99]}, {**good, "r": " "}, {"text": TEXT}
    )
    with pytest.raises(DataError) as error:
        kft.read_relations_jsonl(path, "text", "a", "b", "r")
    assert all(f"rows.jsonl:{line}" in str(error.value) for line in (2, 3, 4))
    rows = kft.read_relations_jsonl(path, "text", "a", "b", "r", on_bad_rows="skip")
    assert len(rows) == 1 and rows.rejected == 3
    assert (tmp_path / "rejected.csv").exists()


def test_lists_of_different_lengths_are_refused():
    with pytest.raises(DataError, match="different lengths"):
        kft.from_relations([TEXT], [ADA], [])
    with pytest.raises(DataError, match="different lengths"):
        kft.from_triples([TEXT], [])


def test_unknown_relations_are_told():
    rows = kft.from_relations([TEXT], [ADA], [CHARLES], ["knows"])
    with pytest.raises(DataError, match="knows"):
        rows.label_array(("likes", "hates"))


def test_marks_stand_around_mentions():
    head, tail = ({"start": a, "end": b} for a, b in (ADA, CHARLES))
    text, places = marked(TEXT, head, tail)
    assert text == "@ Ada @ wrote to # Charles Babbage #"
    assert [text[place] for place in places] == list("@@##")
    text, places = marked(TEXT, tail, {"start": 13, "end": 20})
    assert text == "Ada wrote to @ # Charles # Babbage @"
    assert [text[place] for place in places] == list("@@##")


@given(st.text(min_size=1, max_size=12), st.data())
@settings(deadline=None, max_examples=200)
def test_without_its_marks_the_text_is_what_it_was(text, data):
    sides = []
    for _ in range(2):
        start = data.draw(st.integers(0, len(text) - 1))
        end = data.draw(st.integers(start + 1, len(text)))
        sides.append({"start": start, "end": end})
    found, places = marked(text, *sides)
    assert [found[place] for place in places] == list("@@##")
    spaces = places + [1, -1, 1, -1]
    gone = {*places.tolist(), *spaces.tolist()}
    assert len(gone) == 8
    assert "".join(c for i, c in enumerate(found) if i not in gone) == text
    first, last, other, end = places
    kept = [
        "".join(c for i, c in enumerate(found) if i not in gone and a < i < b)
        for a, b in ((first, last), (other, end))
    ]
    assert kept == [text[side["start"] : side["end"]] for side in sides]


def test_tokens_of_mentions_are_told_by_mark_or_whole(tokenizer):
    rows = kft.from_relations([["good", "film", "plot"]], [(0, 2)], [(1, 2)])
    for pooling, flags in (
        ("marks", [0, 1, 0, 2, 0, 0, 0, 0, 0]),
        ("mentions", [0, 1, 1, 3, 3, 3, 1, 0, 0]),
    ):
        found = relation_examples(rows, tokenizer, pooling)
        tokens = [tokenizer.backend.id_to_token(i) for i in found.examples.ids]
        assert tokens == "[CLS] @ good # film # @ plot [SEP]".split()
        assert found.mention_ids.tolist() == flags


@pytest.mark.parametrize("room", [4, 5, 8, 12, 20])
def test_of_long_texts_the_tokens_nearest_to_the_mentions_are_kept(tokenizer, room):
    random = np.random.default_rng(room)
    words = "great good film very awful boring plot".split()
    for _ in range(20):
        text = random.choice(words, 30).tolist()
        head, tail = np.sort(random.choice(30, 2, replace=False))
        rows = kft.from_relations([text], [(head, head + 1)], [(tail, tail + 1)])
        short = tokenizer.shortened(room + 2)
        found = relation_examples(rows, short, "marks")
        assert found.shortened == 1 and found.examples.lengths.tolist() == [room + 2]
        assert sorted(found.mention_ids[found.mention_ids > 0]) == [1, 2]
        # By hand: the text with four marks, each token's distance to a mention.
        total = [*range(len(text) + 4)]
        spans = [(head, head + 2), (tail + 2, tail + 4)]
        distance = [
            -1 if i in (head, tail + 2) else min(max(0, a - i, i - b) for a, b in spans)
            for i in total
        ]
        kept = sorted(sorted(total, key=lambda i: (distance[i], i))[:room])
        whole = relation_examples(rows, tokenizer, "marks").examples.ids[1:-1]
        assert found.examples.ids[1:-1].tolist() == whole[kept].tolist()


def test_triples_are_read_as_places_and_as_texts(tmp_path):
    triple = {"s": "Ada", "p": "knows", "o": {"start": 13, "end": 28}}
    path = written(tmp_path, {"text": TEXT, "facts": [triple]})
    rows = kft.read_triples_jsonl(path, "text", "facts", ("s", "p", "o"))
    expected = {
        "subject": {"start": 0, "end": 3},
        "relation": "knows",
        "object": {"start": 13, "end": 28},
    }
    assert rows[0] == {"text": TEXT, "triples": [expected]}
    assert kft.from_triples([WORDS], [[((0, 1), "knows", (3, 5))]])[0] == rows[0]
    assert kft.from_triples([TEXT])[0] == {"text": TEXT}


@pytest.mark.parametrize(
    "triples, match",
    [
        ([("Bob", "knows", ADA)], "a part of"),
        ([(ADA, "", CHARLES)], "a name"),
        ([(ADA, "knows")], "subject, relation, object"),
        ("Ada knows", "a list"),
        ([{"subject": ADA}], "a key 'relation'"),
    ],
)
def test_what_is_no_triple_is_refused(triples, match):
    with pytest.raises(DataError, match=match):
        kft.from_triples([TEXT], [triples])


def test_triples_stand_on_their_tokens_in_each_window_that_holds_them(tokenizer):
    random = np.random.default_rng(0)
    words = "great good film very awful boring plot".split()
    texts, triples = [], []
    for _ in range(8):
        text = random.choice(words, random.integers(3, 60)).tolist()
        some = []
        for _ in range(4):
            a, b = random.integers(0, len(text), 2)
            some.append(((a, a + 1), "of", (b, min(b + 2, len(text)))))
        texts.append(text)
        triples.append(some)
    rows = kft.from_triples(texts, triples)
    found = triple_examples(rows, tokenizer.shortened(16), ("by", "of"), overlap=6)
    seen = [set() for _ in rows.texts()]
    for i, row in enumerate(found.rows):
        for a, b, relation, c, d in found.triples[i]:
            if a >= 0:
                assert relation == 1
                starts, ends = found.starts[i], found.ends[i]
                seen[row].add((starts[a], ends[b], starts[c], ends[d]))
    lost = 0
    for row, told in enumerate(seen):
        wanted = {
            (*t["subject"].values(), *t["object"].values())
            for t in rows[row]["triples"]
        }
        assert told <= wanted
        lost += len(wanted - told)
    assert lost <= found.lost < sum(map(len, triples))
    whole = triple_examples(rows, tokenizer.shortened(16), ("by", "of"), overlap=13)
    assert whole.lost <= found.lost
