"""What the serving graph must know of a Rust tokenizer, read from the tokenizer itself.

In goes a `tokenizers.Tokenizer`; out comes a `Reference`, or one error naming every
component that cannot be done exactly in a TensorFlow graph.

The trap: strings like "[SEP]" inside a text are data. What a `Reference` describes is
the tokenizer with `encode_special_tokens = True`; without it a text could close its
own segment.

Source: the `tokenizer.json` format of huggingface/tokenizers 0.23.
"""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import tokenizers
from tokenizers import normalizers

from kerasft._errors import KerasftError
from kerasft.serving.own_tokenizer import own_copy

# RE2, which cuts over-long words, repeats an expression at most 1000 times.
LONGEST_WORD = 999


class UnsupportedTokenizerError(KerasftError, ValueError):
    """A tokenizer that the serving graph cannot reproduce exactly."""


@dataclass(frozen=True)
class Piece:
    """One part of the template around the texts: special tokens, or a whole text.

    Args:
        type_id: the `token_type_ids` of its tokens.
        ids: the token ids, for special tokens.
        sequence: "A" or "B", for a text.
    """

    type_id: int
    ids: tuple[int, ...] = ()
    sequence: str = ""


@dataclass(frozen=True)
class Reference:
    """A WordPiece tokenizer of the BERT kind, as plain values."""

    tokenizer: tokenizers.Tokenizer
    vocabulary: dict[str, int]
    prefix: str
    unknown_id: int
    longest_word: int
    normalizer: normalizers.BertNormalizer
    single: tuple[Piece, ...]
    pair: tuple[Piece, ...]
    pad_id: int
    pad_type_id: int


def read_reference(tokenizer: str | tokenizers.Tokenizer) -> Reference:
    """Read a tokenizer, or the text of a tokenizer.json.

    Raises:
        UnsupportedTokenizerError: a component has no exact graph; all are listed.
    """
    own = own_copy(tokenizer)
    config = json.loads(own.to_str())
    misfits = [*_component_misfits(config), *_token_misfits(config)]
    misfits += _vocabulary_misfits(config)
    raise_if_unsupported(misfits or [*_template_misfits(config["post_processor"])])
    model, padding = config["model"], config["padding"]
    single, pair = _templates(config["post_processor"])
    return Reference(
        tokenizer=own,
        vocabulary=model["vocab"],
        prefix=model["continuing_subword_prefix"],
        unknown_id=model["vocab"][model["unk_token"]],
        longest_word=model["max_input_chars_per_word"],
        normalizer=own.normalizer,
        single=single,
        pair=pair,
        pad_id=padding["pad_id"] if padding else own.token_to_id("[PAD]"),
        pad_type_id=padding["pad_type_id"] if padding else 0,
    )


def raise_if_unsupported(misfits: Iterable[str]):
    """Refuse a tokenizer because of what is listed, if anything is.

    Raises:
        UnsupportedTokenizerError: lists it all.
    """
    misfits = list(misfits)
    if misfits:
        raise UnsupportedTokenizerError(
            "This tokenizer cannot be put into the serving graph exactly:\n  "
            + "\n  ".join(misfits)
            + "\nExport with token ids as input instead (signature='tokens') and "
            "tokenise before the request."
        )


def _component_misfits(config):
    wanted = {
        "model": ("WordPiece",),
        "normalizer": ("BertNormalizer",),
        "pre_tokenizer": ("BertPreTokenizer",),
        "post_processor": ("TemplateProcessing", "BertProcessing", "none"),
    }
    for part, types in wanted.items():
        found = config[part]["type"] if config[part] else "none"
        if found not in types:
            yield f"{part} is {found}, the graph does {' and '.join(types)}"
    yield from side_misfits(config)


def side_misfits(config: dict) -> Iterator[str]:
    """What a tokenizer.json does on the left that graphs do on the right."""
    for part in ("padding", "truncation"):
        if config[part] and config[part]["direction"] != "Right":
            yield f"{part} is on the left, the graph does it on the right"


def _token_misfits(config):
    plain = [t["content"] for t in config["added_tokens"] if not t["special"]]
    if plain:
        yield (
            f"{len(plain)} added tokens are not special and would be cut out of the "
            f"text before it is split into words: {plain[:5]}"
        )


def _vocabulary_misfits(config):
    model = config["model"]
    if model["type"] != "WordPiece":
        return
    tokens = {token["content"] for token in config["added_tokens"]}
    if not config["padding"] and "[PAD]" not in tokens.union(model["vocab"]):
        yield "it has no padding settings and no [PAD] token: call enable_padding()"
    if model["unk_token"] not in model["vocab"]:
        yield f"its unknown token {model['unk_token']!r} is not in its vocabulary"
    if not 1 <= model["max_input_chars_per_word"] <= LONGEST_WORD:
        yield (
            f"max_input_chars_per_word is {model['max_input_chars_per_word']}, the "
            f"graph does 1 to {LONGEST_WORD}"
        )


def _template_misfits(processor):
    for template, sequences in zip(_templates(processor), ("A", "AB"), strict=True):
        found = "".join(sorted(piece.sequence for piece in template))
        if found != sequences:
            yield f"post_processor has the texts {found!r} where {sequences!r} belong"


def _templates(processor):
    if processor is None:
        pieces = (Piece(0, sequence="A"), Piece(1, sequence="B"))
        return pieces[:1], pieces
    if processor["type"] == "BertProcessing":
        first, last = (processor[name][1] for name in ("cls", "sep"))
        single = (Piece(0, (first,)), Piece(0, sequence="A"), Piece(0, (last,)))
        return single, (*single, Piece(1, sequence="B"), Piece(1, (last,)))
    special = processor["special_tokens"]
    return tuple(
        tuple(_piece(entry, special) for entry in processor[name])
        for name in ("single", "pair")
    )


def _piece(entry, special):
    ((kind, value),) = entry.items()
    if kind == "Sequence":
        return Piece(value["type_id"], sequence=value["id"])
    return Piece(value["type_id"], ids=tuple(special[value["id"]]["ids"]))
