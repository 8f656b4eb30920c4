"""Which graph serves the strings of a checkpoint: chosen by its tokenizer.

WordPiece (BERT, DistilBERT, ELECTRA), byte-level BPE (RoBERTa, GPT-2, Llama 3, Qwen 2),
Unigram (XLM-RoBERTa, ALBERT, DeBERTa-v3) and BPE over pieces (Llama 2, Mistral, Gemma)
have one. Of the last two the places of tokens in their texts are not known.
"""

import tensorflow as tf
import tokenizers

from kerasft.data.tokenizer import Tokenizer
from kerasft.serving.byte_bpe import ByteBPEGraph
from kerasft.serving.byte_offsets import ByteOffsetGraph
from kerasft.serving.byte_reference import is_byte_level
from kerasft.serving.byte_text import ByteText
from kerasft.serving.offsets import OffsetGraph
from kerasft.serving.piece_bpe import PieceBPEGraph
from kerasft.serving.piece_text import PieceText
from kerasft.serving.reference import raise_if_unsupported
from kerasft.serving.token_graph import TokenGraph
from kerasft.serving.unigram import UnigramGraph
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
    graph = {"Unigram": UnigramGraph, "BPE": PieceBPEGraph}.get(_model(tokenizer))
    if graph is not None:
        return graph(_padded(tokenizer), length)
    return WordPieceGraph(tokenizer.backend, length)


def offset_graph(tokenizer: Tokenizer) -> OffsetGraph | ByteOffsetGraph:
    """As `token_graph`, with the place of each token in its text.

    Raises:
        UnsupportedTokenizerError: as of `token_graph`; or its tokens are pieces, whose
            graphs leave no trace of where a character was.
    """
    if is_byte_level(tokenizer.backend):
        return ByteOffsetGraph(_padded(tokenizer), tokenizer.max_length)
    if _model(tokenizer) in ("Unigram", "BPE"):
        raise_if_unsupported(
            [
                f"model is {_model(tokenizer)} over pieces, whose graph does not know "
                "where a token is in its text"
            ]
        )
    return OffsetGraph(tokenizer.backend, tokenizer.max_length)


def text_graph(tokenizer: Tokenizer) -> tf.Module:
    """From token ids back to texts.

    Raises:
        UnsupportedTokenizerError: its decoder has no exact graph.
    """
    if _model(tokenizer) == "BPE" and not is_byte_level(tokenizer.backend):
        return PieceText(tokenizer.backend)
    return ByteText(tokenizer.backend)


def _model(tokenizer):
    return type(tokenizer.backend.model).__name__


def _padded(tokenizer):
    """The Rust tokenizer with the padding of its checkpoint; many have none."""
    own = tokenizers.Tokenizer.from_str(tokenizer.backend.to_str())
    if not own.padding:
        own.enable_padding(pad_id=tokenizer.pad_id)
    return own
