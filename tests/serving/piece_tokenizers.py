"""Unigram and BPE over pieces, of several families, trained on plain and odd texts."""

import functools
import io
import json
import tempfile
from pathlib import Path

import sentencepiece
import tokenizers
from tokenizers import models, normalizers, pre_tokenizers, trainers

from kerasft.data.tokenizer import Tokenizer
from kerasft.serving.fuzz import adversarial_texts

PLAIN = Path(__file__).parents[2] / "README.md"
FILES = {
    "xlm-roberta": "sentencepiece.bpe.model",
    "albert": "spiece.model",
    "deberta-v2": "spm.model",
}
KINDS = (*FILES, "t5", "plain")
MARK = "\u2581"
# How Llama 2 puts marks for spaces, how Gemma does, and how transformers 5 may.
MARKED = {
    "llama": ([normalizers.Prepend(MARK), normalizers.Replace(" ", MARK)], None),
    "gemma": (
        [normalizers.Replace(" ", MARK)],
        pre_tokenizers.Split(" ", "merged_with_previous"),
    ),
    "metaspace": (
        [],
        pre_tokenizers.Metaspace(prepend_scheme="first", split=False),
    ),
}


def texts():
    lines = [*PLAIN.read_text().splitlines() * 9, *adversarial_texts(500, seed=98)]
    return [line for line in lines if line.strip() and not set(line) & set("\x00\n\r")]


@functools.cache
def pieces_of_model():
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(texts()),
        model_writer=model,
        vocab_size=6000,
        character_coverage=0.98,
        hard_vocab_limit=False,
        control_symbols=["[CLS]", "[SEP]", "[MASK]"],
        pad_id=3,
        minloglevel=2,
    )
    return model.getvalue()


@functools.cache
def unigram(kind):
    """A Rust tokenizer; a copy is made of it before it is changed."""
    if kind == "plain":
        return plain()
    if kind == "t5":
        own = copy("xlm-roberta")
        parts = [own.normalizer, normalizers.Strip(left=False, right=True)]
        parts += [normalizers.Replace(tokenizers.Regex(" {2,}"), "\u2581")]
        own.normalizer = normalizers.Sequence(parts)
        own.pre_tokenizer = pre_tokenizers.Metaspace()
        return own
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, FILES[kind]).write_bytes(pieces_of_model())
        Path(folder, "config.json").write_text(json.dumps({"model_type": kind}))
        return Tokenizer.from_pretrained(folder, 512).backend


def plain():
    """As `kerasft train-tokenizer` makes it: without a normaliser."""
    own = tokenizers.Tokenizer(models.Unigram())
    own.pre_tokenizer = pre_tokenizers.Metaspace()
    special = ["<s>", "<pad>", "</s>", "<unk>"]
    own.train_from_iterator(
        PLAIN.read_text().splitlines(),
        trainers.UnigramTrainer(
            vocab_size=1500,
            special_tokens=special,
            unk_token="<unk>",
            show_progress=False,
        ),
    )
    own.encode_special_tokens = True
    return own


@functools.cache
def piece_bpe(kind):
    """A Rust tokenizer of one of the kinds of `MARKED`."""
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(texts()),
        model_writer=model,
        model_type="bpe",
        byte_fallback=True,
        vocab_size=1500,
        hard_vocab_limit=False,
        character_coverage=0.98,
        normalization_rule_name="identity",
        remove_extra_whitespaces=False,
        minloglevel=2,
    )
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "tokenizer.model").write_bytes(model.getvalue())
        Path(folder, "config.json").write_text(json.dumps({"model_type": "llama"}))
        own = Tokenizer.from_pretrained(folder, 512).backend
    steps, before = MARKED[kind]
    config = json.loads(own.to_str()) | {"normalizer": None, "pre_tokenizer": None}
    own = tokenizers.Tokenizer.from_str(json.dumps(config))
    if steps:
        own.normalizer = normalizers.Sequence(steps) if steps[1:] else steps[0]
    if before is not None:
        own.pre_tokenizer = before
    own.enable_padding(pad_id=0, pad_token="<unk>")
    own.encode_special_tokens = True
    return own


def copy(kind):
    return tokenizers.Tokenizer.from_str(unigram(kind).to_str())
