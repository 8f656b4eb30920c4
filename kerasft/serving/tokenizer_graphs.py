"""Which graph serves the strings of a checkpoint: chosen by its tokenizer.

WordPiece (BERT, DistilBERT, ELECTRA), byte-level BPE (RoBERTa, GPT-2, Llama 3, Qwen 2)
and Unigram (XLM-RoBERTa, ALBERT, DeBERTa-v3) have one; of the last the places of tokens
in their texts are not known. BPE over SentencePiece's pieces (Llama 2) has none.
"""

import json

import tokenizers

from kerasft.data.tokenizer import Tokenizer
from kerasft.serving.byte_bpe import ByteBPEGraph
from kerasft.serving.byte_offsets import ByteOffsetGraph
from kerasft.serving.byte_reference import is_byte_level
from kerasft.serving.offsets import OffsetGraph
from kerasft.serving.reference import raise_if_unsupported
from kerasft.serving.token_graph import TokenGraph
from kerasft.serving.unigram import UnigramGraph
from kerasft.serving.unigram_reference import is_unigram
from kerasft.serving.wordpiece import WordPieceGraph


def token_graph(tokenizer: Tokenizer, max_length: int | None = None) -> TokenGraph:
    """From strings to the inputs of a model.

    Args:
        tokenizer: the checkpoint's.
        max_length: tokens per row at most; None: as many as the model takes.

    Raises:
        UnsupportedTokenizerError: it has no exact graph; says what and why.
        SettingsError: `max_length` leaves no room for text.
    """
    length = max_length or tokenizer.max_length
    if is_byte_level(tokenizer.backend):
        return ByteBPEGraph(_padded(tokenizer), length)
    if is_unigram(tokenizer.backend):
        return UnigramGraph(_padded(tokenizer), length)
    _raise_if_sentencepiece(tokenizer)
    return WordPieceGraph(tokenizer.backend, length)


def offset_graph(tokenizer: Tokenizer) -> OffsetGraph | ByteOffsetGraph:
    """As `token_graph`, with the place of each token in its text.

    Raises:
        UnsupportedTokenizerError: as of `token_graph`; or it is a Unigram model, whose
            normaliser leaves no trace of where a character was.
    """
    if is_byte_level(tokenizer.backend):
        return ByteOffsetGraph(_padded(tokenizer), tokenizer.max_length)
    _raise_if_sentencepiece(tokenizer)
    return OffsetGraph(tokenizer.backend, tokenizer.max_length)


def _raise_if_sentencepiece(tokenizer):
    model = json.loads(tokenizer.backend.to_str())["model"]["type"]
    if model == "Unigram":
        raise_if_unsupported(
            ["model is Unigram, whose graph does not know where a token is in its text"]
        )
    if model == "BPE":
        raise_if_unsupported(["model is BPE over pieces of SentencePiece, not bytes"])


def _padded(tokenizer):
    """The Rust tokenizer with the padding of its checkpoint; many have none."""
    own = tokenizers.Tokenizer.from_str(tokenizer.backend.to_str())
    if not own.padding:
        own.enable_padding(pad_id=tokenizer.pad_id)
    return own
