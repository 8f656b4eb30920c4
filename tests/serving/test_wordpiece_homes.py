"""One tokenizer graph, three homes: eager calls, `tf.data`, a loaded SavedModel.

Each gets the ids, masks and type ids of the Rust tokenizer, for MiniLM's vocabulary as
it is (uncased) and with case and accents kept.
"""

import pytest
import tokenizers
from homes import HOMES, compare
from tokenizers import normalizers

from kerasft.serving.fuzz import adversarial_texts
from kerasft.serving.wordpiece import WordPieceGraph


def of_casing(minilm, casing):
    """MiniLM's tokenizer; "cased" keeps case and accents."""
    own = tokenizers.Tokenizer.from_file(str(minilm / "tokenizer.json"))
    if casing == "cased":
        own.normalizer = normalizers.BertNormalizer(lowercase=False)
    return own


def fuzzed(tokenizer, count):
    return list(adversarial_texts(count, 11, sorted(tokenizer.get_vocab())))


@pytest.mark.parametrize("casing", ["uncased", "cased"])
@pytest.mark.parametrize("home", HOMES)
def test_every_home_gives_the_ids_of_the_reference(
    home, casing, minilm, bbc_texts, vader_texts, tmp_path
):
    tokenizer = of_casing(minilm, casing)
    texts = [*bbc_texts[::40], *vader_texts[::40], *fuzzed(tokenizer, 2000)]
    graph = WordPieceGraph(tokenizer, 128)
    assert compare(graph, home, tmp_path, texts) == len(texts)


@pytest.mark.slow
@pytest.mark.parametrize("casing", ["uncased", "cased"])
@pytest.mark.parametrize("home", HOMES)
def test_every_home_gives_the_ids_of_all_real_and_a_hundred_thousand_fuzzed_texts(
    home, casing, minilm, bbc_texts, vader_texts, tmp_path
):
    tokenizer = of_casing(minilm, casing)
    texts = [*bbc_texts, *vader_texts, *fuzzed(tokenizer, 100_000)]
    graph = WordPieceGraph(tokenizer, 128)
    assert compare(graph, home, tmp_path, texts) == len(texts) > 125_000
