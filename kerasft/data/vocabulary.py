"""A tokenizer made of texts: which pieces it has is learned from them.

Four kinds, each as a known family of models has it: special tokens, what is around a
text, and how texts are cut before pieces are learned.

The trap: a byte-level vocabulary holds all 256 bytes, so that it can spell any text;
the other two have a token for what they cannot spell, and lose it.

Sources: byte-level BPE, Radford et al. 2019, section 2.2; the cut of Llama 3, its
tokenizer.json; WordPiece, Devlin et al. 2018 (arXiv:1810.04805); Unigram, Kudo 2018
(arXiv:1804.10959), framed as XLM-R frames it.
"""

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from tokenizers import (
    Regex,
    Tokenizer,
    decoders,
    models,
    normalizers,
    pre_tokenizers,
    processors,
    trainers,
)

from kerasft._errors import DataError, SettingsError
from kerasft._registry import Registry

BYTES = 256
LLAMA3_CUT = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
TRAINERS = {
    models.BPE: trainers.BpeTrainer,
    models.WordPiece: trainers.WordPieceTrainer,
    models.Unigram: trainers.UnigramTrainer,
}


@dataclass(frozen=True)
class Kind:
    """A kind of tokenizer.

    Args:
        special: name -> special token, as tokenizer_config.json has them; in the order
            of their ids.
        build: lowercase -> a tokenizer without a vocabulary.
        frame: what stands around a text, and around two; () for nothing.
        least: entries beside the special tokens.
        lowercases: whether it may fold case.
    """

    special: dict[str, str]
    build: Callable[[bool], Tokenizer]
    frame: tuple[str, ...] = ()
    least: int = 1
    lowercases: bool = False


def _byte_level(cut):
    def build(lowercase):
        tokenizer = Tokenizer(models.BPE())
        tokenizer.pre_tokenizer = cut
        tokenizer.post_processor = processors.ByteLevel(trim_offsets=False)
        tokenizer.decoder = decoders.ByteLevel()
        return tokenizer

    return build


def _wordpiece(lowercase):
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=lowercase)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    return tokenizer


def _unigram(lowercase):
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    return tokenizer


_LLAMA3 = pre_tokenizers.Sequence(
    [
        pre_tokenizers.Split(Regex(LLAMA3_CUT), behavior="isolated"),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
    ]
)
KINDS = Registry(
    "kind of tokenizer",
    gpt2=Kind(
        dict.fromkeys(("bos_token", "eos_token", "unk_token"), "<|endoftext|>"),
        _byte_level(pre_tokenizers.ByteLevel(add_prefix_space=False)),
        least=BYTES,
    ),
    llama3=Kind(
        {"bos_token": "<|begin_of_text|>", "eos_token": "<|end_of_text|>"},
        _byte_level(_LLAMA3),
        ("<|begin_of_text|> $A", "<|begin_of_text|> $A <|begin_of_text|>:1 $B:1"),
        least=BYTES,
    ),
    wordpiece=Kind(
        {
            f"{name.lower()}_token": f"[{name}]"
            for name in ("PAD", "UNK", "CLS", "SEP", "MASK")
        },
        _wordpiece,
        ("[CLS] $A [SEP]", "[CLS] $A [SEP] $B:1 [SEP]:1"),
        lowercases=True,
    ),
    unigram=Kind(
        {
            "bos_token": "<s>",
            "pad_token": "<pad>",
            "eos_token": "</s>",
            "unk_token": "<unk>",
            "cls_token": "<s>",
            "sep_token": "</s>",
            "mask_token": "<mask>",
        },
        _unigram,
        ("<s> $A </s>", "<s> $A </s> </s> $B </s>"),
    ),
)


def special_of(kind: Kind, more: Sequence[str] = ()) -> list[str]:
    """All special tokens, in the order of their ids."""
    return list(dict.fromkeys([*kind.special.values(), *more]))


def least_size(kind: Kind, more: Sequence[str] = ()) -> int:
    """The fewest entries that a vocabulary of this kind can have."""
    return kind.least + len(special_of(kind, more))


def learned(  # noqa: PLR0913 - the settings of a training
    batches: Iterable[list[str]],
    kind: Kind,
    vocab_size: int,
    *,
    lowercase: bool = False,
    min_frequency: int = 2,
    more_special: Sequence[str] = (),
    rows: int | None = None,
    show_progress: bool = False,
) -> Tokenizer:
    """A tokenizer whose pieces are learned from texts.

    Args:
        batches: lists of texts, read once.
        kind: one of `KINDS`.
        vocab_size: entries, special tokens included; fewer where the texts give fewer.
        lowercase: whether case and accents are folded.
        min_frequency: how often a pair must occur to become a piece.
        more_special: special tokens beside those of the kind.
        rows: how many texts there are, for the progress bar.
        show_progress: whether there is one.

    Raises:
        SettingsError: a kind that does not fold case; too few entries.
        DataError: texts of which no such vocabulary can be learned.
    """
    if lowercase and not kind.lowercases:
        raise SettingsError("lowercase goes with wordpiece alone; leave it out.")
    least, special = least_size(kind, more_special), special_of(kind, more_special)
    if vocab_size < least:
        raise SettingsError(f"vocab_size is {vocab_size}; it is at least {least:,}.")
    tokenizer = kind.build(lowercase)
    options = {"vocab_size": vocab_size, "special_tokens": special}
    if isinstance(tokenizer.model, models.Unigram):
        options["unk_token"] = kind.special["unk_token"]
    else:
        options["min_frequency"] = min_frequency
    if kind.least == BYTES:
        options["initial_alphabet"] = pre_tokenizers.ByteLevel.alphabet()
    trainer = TRAINERS[type(tokenizer.model)](show_progress=show_progress, **options)
    try:
        tokenizer.train_from_iterator(batches, trainer, length=rows)
    except Exception as error:  # The Rust side raises bare Exception.
        raise DataError(
            f"No vocabulary can be learned from these texts ({error}). Allow more "
            "entries, or give other texts."
        ) from error
    _raise_unless_learned(tokenizer, vocab_size, special)
    if kind.frame:
        tokenizer.post_processor = _framed(tokenizer, kind, special)
    return tokenizer


def _raise_unless_learned(tokenizer, vocab_size, special):
    size = tokenizer.get_vocab_size()
    if size > vocab_size:
        raise DataError(
            f"The texts have so many different characters that a vocabulary has "
            f"{size:,} entries at least, but vocab_size is {vocab_size:,}. Allow more."
        )
    if size <= len(special):
        raise DataError("There is nothing in these texts to learn a vocabulary from.")


def _framed(tokenizer, kind, special):
    single, pair = kind.frame
    ids = [(token, tokenizer.token_to_id(token)) for token in special]
    frame = processors.TemplateProcessing(single=single, pair=pair, special_tokens=ids)
    if kind.least == BYTES:
        return processors.Sequence([tokenizer.post_processor, frame])
    return frame


def tokenizer_files(
    tokenizer: Tokenizer, kind: Kind, max_length: int, more_special: Sequence[str] = ()
) -> dict[str, bytes]:
    """Name -> content of the files that `transformers.AutoTokenizer` reads."""
    about = {
        # Takes tokenizer.json as it is; a family's own class would build another.
        "tokenizer_class": "PreTrainedTokenizerFast",
        "model_max_length": max_length,
        "clean_up_tokenization_spaces": False,
        **kind.special,
    }
    if more_special:
        about["extra_special_tokens"] = list(more_special)
    return {
        "tokenizer.json": tokenizer.to_str(pretty=True).encode(),
        "tokenizer_config.json": json.dumps(about, indent=2).encode() + b"\n",
    }
