import io

import pytest
import sentencepiece
import tokenizers
from tokenizers import models

from kerasft.data.tokenizer import Tokenizer
from kerasft.serving.reference import UnsupportedTokenizerError
from kerasft.serving.tokenizer_graphs import offset_graph, token_graph

TEXTS = ["Where two ways to cut a word are as likely", "one of them is taken"] * 20


def unigram():
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(TEXTS),
        model_writer=model,
        vocab_size=60,
        hard_vocab_limit=False,
        minloglevel=2,
    )
    pieces = sentencepiece.SentencePieceProcessor(model_proto=model.getvalue())
    scores = [
        (pieces.id_to_piece(i), pieces.get_score(i))
        for i in range(pieces.get_piece_size())
    ]
    return models.Unigram(scores, unk_id=0, byte_fallback=False)


def bpe():
    vocabulary = {"<unk>": 0, "\u2581": 1, "a": 2, "\u2581a": 3}
    return models.BPE(vocabulary, [("\u2581", "a")], unk_token="<unk>")


@pytest.mark.parametrize("graph", [token_graph, offset_graph])
@pytest.mark.parametrize("model", [unigram, bpe])
def test_pieces_of_sentencepiece_are_refused_with_the_reason(model, graph):
    backend = tokenizers.Tokenizer(model())
    backend.pre_tokenizer = tokenizers.pre_tokenizers.Metaspace()
    tokenizer = Tokenizer(backend, 16, 0, {})
    with pytest.raises(
        UnsupportedTokenizerError, match=r"over pieces of Sentence"
    ) as e:
        graph(tokenizer)
    assert "two ways are as likely" in str(e.value)
