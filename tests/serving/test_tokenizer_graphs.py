import pytest
from piece_tokenizers import piece_bpe, unigram

from kerasft.data.tokenizer import Tokenizer
from kerasft.serving.piece_bpe import PieceBPEGraph
from kerasft.serving.reference import UnsupportedTokenizerError
from kerasft.serving.tokenizer_graphs import offset_graph, token_graph
from kerasft.serving.unigram import UnigramGraph


@pytest.mark.parametrize(
    "backend, kind",
    [
        (lambda: unigram("albert"), UnigramGraph),
        (lambda: piece_bpe("llama"), PieceBPEGraph),
    ],
)
def test_pieces_have_a_graph_without_places(backend, kind):
    tokenizer = Tokenizer(backend(), 16, 0, {})
    assert isinstance(token_graph(tokenizer), kind)
    with pytest.raises(UnsupportedTokenizerError, match="where a token is in its text"):
        offset_graph(tokenizer)
