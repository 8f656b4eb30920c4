"""Unigram tokenizers of several families, trained on strange and on plain texts."""

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


def copy(kind):
    return tokenizers.Tokenizer.from_str(unigram(kind).to_str())
