import pytest
import tokenizers
from tokenizers import models
from unigram_tokenizers import unigram

from kerasft.data.tokenizer import Tokenizer
from kerasft.serving.reference import UnsupportedTokenizerError
from kerasft.serving.tokenizer_graphs import offset_graph, token_graph
from kerasft.serving.unigram import UnigramGraph


def bpe():
    vocabulary = {"<unk>": 0, "\u2581": 1, "a": 2, "\u2581a": 3}
    own = tokenizers.Tokenizer(models.BPE(vocabulary, [("\u2581", "a")]))
    own.pre_tokenizer = tokenizers.pre_tokenizers.Metaspace()
    return Tokenizer(own, 16, 0, {})


@pytest.mark.parametrize("graph", [token_graph, offset_graph])
def test_bpe_over_pieces_of_sentencepiece_is_refused_with_the_reason(graph):
    with pytest.raises(UnsupportedTokenizerError, match="BPE over pieces of Sentence"):
        graph(bpe())


def test_a_unigram_model_has_a_graph_without_places():
    tokenizer = Tokenizer(unigram("albert"), 16, 0, {})
    assert isinstance(token_graph(tokenizer), UnigramGraph)
    with pytest.raises(UnsupportedTokenizerError, match="where a token is in its text"):
        offset_graph(tokenizer)
