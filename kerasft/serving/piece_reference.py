"""What the serving graph must know of a BPE over pieces, as plain values.

In goes a `tokenizers.Tokenizer` of the kind of Llama 2, Mistral or Gemma; out comes a
`PieceReference`, or one error naming every component that cannot be done exactly in a
TensorFlow graph.

Source: the `tokenizer.json` format and BPE::merge_word of huggingface/tokenizers 0.23.
"""

import json
from dataclasses import dataclass

import tokenizers

from kerasft.serving.added_tokens import has_added_tokens
from kerasft.serving.asked_template import asked_template
from kerasft.serving.own_tokenizer import own_copy, pad, padding_misfits
from kerasft.serving.reference import Piece, raise_if_unsupported, side_misfits
from kerasft.serving.unigram_reference import MARK

BYTES = [f"<0x{byte:02X}>" for byte in range(0x100)]
REPLACE = {"type": "Replace", "pattern": {"String": " "}, "content": MARK}
PREPEND = {"type": "Prepend", "prepend": MARK}


@dataclass(frozen=True)
class PieceReference:
    """A BPE tokenizer whose tokens are pieces, and bytes where there is none.

    Args:
        tokenizer: a copy of it, with padding.
        prepends: whether a mark is put before a text: "always"; "once", where it does
            not begin with one; "never".
        splits: no piece has a mark behind another character.
        vocabulary: piece -> its id.
        id_of_byte: 256 token ids.
        merges: (left, right, merged) token ids, the first to be done first.
        whole_words: words that are one token -> its id.
        single: what a text becomes.
        pair: what two texts become.
        pad_id: token id of the padding.
        pad_type_id: its `token_type_ids`.
    """

    tokenizer: tokenizers.Tokenizer
    prepends: str
    splits: bool
    vocabulary: dict[str, int]
    id_of_byte: tuple[int, ...]
    merges: list[tuple[int, int, int]]
    whole_words: dict[str, int]
    single: tuple[Piece, ...]
    pair: tuple[Piece, ...]
    pad_id: int
    pad_type_id: int


def read_piece_reference(tokenizer: str | tokenizers.Tokenizer) -> PieceReference:
    """Read a tokenizer, or the text of a tokenizer.json.

    Raises:
        UnsupportedTokenizerError: a component has no exact graph; all are listed.
    """
    own = own_copy(tokenizer)
    config = json.loads(own.to_str())
    raise_if_unsupported([*side_misfits(config), *_misfits(config, own)])
    pad(own)
    vocabulary, pairs = config["model"]["vocab"], config["model"]["merges"]
    merged = ["".join(pair) for pair in pairs]
    merges = [
        (vocabulary[left], vocabulary[right], vocabulary[left + right])
        for left, right in pairs
    ]
    single, pair = (asked_template(own, "a", paired) for paired in (0, 1))
    return PieceReference(
        tokenizer=own,
        prepends=_prepends(config),
        splits=not any(MARK in piece.lstrip(MARK) for piece in merged),
        vocabulary=vocabulary,
        id_of_byte=tuple(vocabulary[name] for name in BYTES),
        merges=merges,
        whole_words=_whole_words(own.model, merged, vocabulary),
        single=single,
        pair=pair,
        pad_id=own.padding["pad_id"],
        pad_type_id=own.padding["pad_type_id"],
    )


def _misfits(config, own):
    model = config["model"]
    if model["type"] != "BPE":
        yield f"model is {model['type']}, the graph does BPE"
        return
    if _prepends(config) is None:
        yield (
            f"normalizer is {config['normalizer']} and pre_tokenizer "
            f"{config['pre_tokenizer']}, the graph does {MARK!r} for spaces, and one "
            "before the text"
        )
    for name in ("dropout", "continuing_subword_prefix", "end_of_word_suffix"):
        if model[name]:
            yield f"its {name} is {model[name]!r}, the graph does none"
    if model.get("ignore_merges"):
        yield "it has ignore_merges, the graph does all merges"
    if not model["byte_fallback"] or not model["vocab"].keys() >= set(BYTES):
        yield "it has no byte_fallback with a token for each byte"
    if has_added_tokens(own):
        yield "it has added tokens that are not special"
    yield from padding_misfits(own)


def _prepends(config):
    """Whether a mark comes before a text; None: normaliser or pre-tokeniser differ."""
    normalizer, before = config["normalizer"], config["pre_tokenizer"]
    steps = normalizer.get("normalizers", [normalizer]) if normalizer else []
    if before and before["type"] == "Split" and steps == [REPLACE]:
        # At the spaces that are none any more, as Gemma's.
        return "never" if before["pattern"] == {"String": " "} else None
    if before is None:
        return {1: "never", 2: "always"}.get(len(steps)) if _known(steps) else None
    wanted = {"type": "Metaspace", "replacement": MARK, "split": False}
    if steps or wanted.items() - before.items():
        return None
    return {"always": "once", "first": "once"}.get(before["prepend_scheme"], "never")


def _known(steps):
    return steps in ([REPLACE], [PREPEND, REPLACE])


def _whole_words(model, pieces, vocabulary):
    """Pieces that the reference, asked for the word they spell, gives as one token."""
    return {
        piece: vocabulary[piece]
        for piece in pieces
        if [token.id for token in model.tokenize(piece)] == [vocabulary[piece]]
    }
