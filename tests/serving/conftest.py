"""Tokenizers whose vocabularies hold thousands of strange pieces."""

import functools
import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import pytest
import tokenizers
from tokenizers import models, normalizers, pre_tokenizers, processors, trainers

from kerasft.serving.fuzz import adversarial_texts
from kerasft.serving.offsets import OffsetGraph
from kerasft.serving.wordpiece import WordPieceGraph


def train_tokenizer(prefix="##", unknown="[UNK]", longest_word=100, **normalizer):
    own = tokenizers.Tokenizer(
        models.WordPiece(
            {unknown: 0},
            unk_token=unknown,
            continuing_subword_prefix=prefix,
            max_input_chars_per_word=longest_word,
        )
    )
    own.normalizer = normalizers.BertNormalizer(**normalizer)
    own.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    trainer = trainers.WordPieceTrainer(
        vocab_size=20000,
        limit_alphabet=15000,
        special_tokens=["[PAD]", unknown, "[CLS]", "[SEP]", "[MASK]"],
        continuing_subword_prefix=prefix,
        show_progress=False,
    )
    own.train_from_iterator(adversarial_texts(4000, seed=99), trainer)
    own.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    return own


@functools.cache
def make_graph(**settings):
    return WordPieceGraph(train_tokenizer(**settings), max_length=32)


@pytest.fixture(scope="session")
def strange_graph():
    """A function of normaliser settings to the graph of a strange tokenizer."""
    return make_graph


@functools.cache
def make_offset_graph(**settings):
    return OffsetGraph(train_tokenizer(**settings), max_length=32)


@pytest.fixture(scope="session")
def strange_offset_graph():
    """The same for the graph that knows the characters of each token."""
    return make_offset_graph
