"""What the serving graph must know of a Unigram tokenizer, as plain values.

In goes a `tokenizers.Tokenizer` of the kind of XLM-RoBERTa, ALBERT or DeBERTa-v3; out
comes a `UnigramReference`, or one error naming every component that cannot be done
exactly in a TensorFlow graph.

Source: the `tokenizer.json` format of huggingface/tokenizers 0.23.
"""

import json
from dataclasses import dataclass

import tokenizers

from kerasft.serving.added_tokens import added_misfits, has_added_tokens
from kerasft.serving.asked_template import asked_template
from kerasft.serving.normalizing import steps_of
from kerasft.serving.own_tokenizer import own_copy, pad, padding_misfits
from kerasft.serving.reference import Piece, raise_if_unsupported, side_misfits

MARK = "\u2581"  # where a word begins


@dataclass(frozen=True)
class UnigramReference:
    """A Unigram tokenizer.

    Args:
        tokenizer: a copy of it, with padding.
        normalizer: of its tokenizer.json.
        splits_at_spaces: words are what stands between white space, and the marks in
            that; else marks and spaces alone begin words.
        vocabulary: (piece, log-likelihood), in the order of their ids.
        unknown_id: of characters that are no pieces.
        single: what a text becomes.
        pair: what two texts become.
        pad_id: token id of the padding.
        pad_type_id: its `token_type_ids`.
    """

    tokenizer: tokenizers.Tokenizer
    normalizer: dict | None
    splits_at_spaces: bool
    vocabulary: list[tuple[str, float]]
    unknown_id: int
    single: tuple[Piece, ...]
    pair: tuple[Piece, ...]
    pad_id: int
    pad_type_id: int


def read_unigram_reference(tokenizer: str | tokenizers.Tokenizer) -> UnigramReference:
    """Read a tokenizer, or the text of a tokenizer.json.

    Raises:
        UnsupportedTokenizerError: a component has no exact graph; all are listed.
    """
    own = own_copy(tokenizer)
    config = json.loads(own.to_str())
    misfits = [*side_misfits(config), *added_misfits(own), *_misfits(config, own)]
    raise_if_unsupported(misfits)
    pad(own)
    model = config["model"]
    sample = next(piece.strip(MARK) for piece, _ in model["vocab"] if piece.strip(MARK))
    single, pair = (asked_template(own, sample, paired) for paired in (0, 1))
    return UnigramReference(
        tokenizer=own,
        normalizer=config["normalizer"],
        splits_at_spaces=_splitting(config["pre_tokenizer"]),
        vocabulary=[(piece, score) for piece, score in model["vocab"]],
        unknown_id=model["unk_id"],
        single=single,
        pair=pair,
        pad_id=own.padding["pad_id"],
        pad_type_id=own.padding["pad_type_id"],
    )


def _misfits(config, own):
    model = config["model"]
    if model["type"] != "Unigram":
        yield f"model is {model['type']}, the graph does Unigram"
        return
    if _splitting(config["pre_tokenizer"]) is None:
        yield (
            f"pre_tokenizer is {config['pre_tokenizer']}, the graph does a Metaspace "
            f"that always puts {MARK!r} before a text and splits, alone or after "
            "WhitespaceSplit"
        )
    try:
        steps_of(config["normalizer"])
    except ValueError as part:
        yield f"normalizer has {part}, for which there is no graph"
    if model.get("byte_fallback"):
        yield "it has byte_fallback, the graph does none"
    if model["unk_id"] is None:
        yield "it has no unknown token"
    if any(score > 0 for _, score in model["vocab"]):
        yield "it has pieces of a log-likelihood above 0"
    if not all(piece for piece, _ in model["vocab"]):
        yield "it has an empty piece"
    if has_added_tokens(own):
        yield "it has added tokens that are not special"
    yield from padding_misfits(own)


def _splitting(before):
    """Whether words end at all white space; None: it is another pre-tokeniser."""
    steps = before.get("pretokenizers", [before]) if before else []
    types = [step["type"] for step in steps]
    if types not in (["Metaspace"], ["WhitespaceSplit", "Metaspace"]):
        return None
    last, usual = steps[-1], (MARK, "always", True)
    if (last["replacement"], last["prepend_scheme"], last["split"]) != usual:
        return None
    return len(types) == 2
