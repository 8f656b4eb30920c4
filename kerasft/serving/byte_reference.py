"""What the serving graph must know of a byte-level BPE tokenizer, as plain values.

In goes a `tokenizers.Tokenizer` of the kind of GPT-2, RoBERTa, ModernBERT, Llama 3 or
Qwen 2; out comes a `ByteReference`, or one error naming every component that cannot be
done exactly in a TensorFlow graph.

Source: the `tokenizer.json` format and BPE::merge_word of huggingface/tokenizers 0.23;
Radford et al. 2019, whose encoder writes each byte as a printable character.
"""

import json
from dataclasses import dataclass

import tokenizers

from kerasft.serving.added_tokens import added_misfits
from kerasft.serving.asked_template import asked_template
from kerasft.serving.own_tokenizer import own_copy, pad, padding_misfits
from kerasft.serving.reference import Piece, raise_if_unsupported, side_misfits
from kerasft.serving.split_regex import GPT2

PLAIN = (*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100))


@dataclass(frozen=True)
class ByteReference:
    """A byte-level BPE tokenizer.

    Args:
        tokenizer: a copy of it, with padding.
        composes: texts are brought to the normal form NFC.
        prefix_space: a space is put before a text that has none.
        expression: what cuts texts into words.
        id_of_byte: 256 token ids, -1 for a byte that leaves no token.
        merges: (left, right, merged) token ids, the first to be done first.
        words: words that are one token -> its id.
        single: what a text becomes.
        pair: what two texts become.
        pad_id: token id of the padding.
        pad_type_id: its `token_type_ids`.
        trims: one entry for each time that spaces are taken off the ends of a token's
            place in the text: whether the space put before a text counts as one.
    """

    tokenizer: tokenizers.Tokenizer
    composes: bool
    prefix_space: bool
    expression: str
    id_of_byte: tuple[int, ...]
    merges: list[tuple[int, int, int]]
    words: dict[bytes, int]
    single: tuple[Piece, ...]
    pair: tuple[Piece, ...]
    pad_id: int
    pad_type_id: int
    trims: tuple[bool, ...]


def letters_of_bytes() -> str:
    """The 256 characters that stand for bytes in a vocabulary, "Ġ" for a space."""
    letters, spare = dict(zip(PLAIN, map(chr, PLAIN), strict=True)), 0x100
    for byte in range(0x100):
        if byte not in letters:
            letters[byte], spare = chr(spare), spare + 1
    return "".join(letters[byte] for byte in range(0x100))


def is_byte_level(tokenizer: tokenizers.Tokenizer) -> bool:
    """Whether a tokenizer is byte-level BPE, be it supported or not."""
    config = json.loads(tokenizer.to_str())
    before = config["pre_tokenizer"] or {"type": "none"}
    steps = before.get("pretokenizers", [before])
    return config["model"]["type"] == "BPE" and any(
        step["type"] == "ByteLevel" for step in steps
    )


def read_byte_reference(tokenizer: str | tokenizers.Tokenizer) -> ByteReference:
    """Read a tokenizer, or the text of a tokenizer.json.

    Raises:
        UnsupportedTokenizerError: a component has no exact graph; all are listed.
    """
    own = own_copy(tokenizer)
    config = json.loads(own.to_str())
    misfits = [*side_misfits(config), *added_misfits(own), *_misfits(config, own)]
    raise_if_unsupported(misfits)
    pad(own)
    expression, prefix_space = _splitting(config["pre_tokenizer"])
    model = config["model"]
    id_of_byte = _ids_of_bytes(model)
    sample = next(chr(b) for b in range(0x21, 0x7F) if id_of_byte[b] >= 0)
    single, pair = (asked_template(own, sample, paired) for paired in (0, 1))
    return ByteReference(
        tokenizer=own,
        composes="NFC" in _normalizing(config["normalizer"]),
        prefix_space=prefix_space,
        expression=expression,
        id_of_byte=id_of_byte,
        merges=_merges(model),
        words=_whole_words(own.model, model["vocab"]),
        single=single,
        pair=pair,
        pad_id=own.padding["pad_id"],
        pad_type_id=own.padding["pad_type_id"],
        trims=_trims(config["post_processor"]),
    )


def _misfits(config, own):
    model = config["model"]
    if model["type"] != "BPE":
        yield f"model is {model['type']}, the graph does BPE"
        return
    if not _splitting(config["pre_tokenizer"]):
        yield (
            f"pre_tokenizer is {config['pre_tokenizer']}, the graph does ByteLevel, "
            "and one isolating Split by a Regex before a ByteLevel without its own"
        )
    forms = _normalizing(config["normalizer"])
    if forms not in ([], ["NFC"]):
        yield f"normalizer is {' and '.join(forms)}, the graph does NFC alone, or none"
    for name in ("dropout", "continuing_subword_prefix", "end_of_word_suffix"):
        if model[name]:
            yield f"its {name} is {model[name]!r}, the graph does none"
    yield from _unknown_misfits(model)
    yield from padding_misfits(own)


def _unknown_misfits(model):
    if model["vocab"].keys() >= set(letters_of_bytes()):
        return
    for name in ("byte_fallback", "fuse_unk"):
        if model[name]:
            yield f"it has no token for some bytes, for which it uses {name}"
    if model["unk_token"] and model["unk_token"] not in model["vocab"]:
        yield f"its unknown token {model['unk_token']!r} is not in its vocabulary"


def _splitting(before):
    """(expression, prefix_space) of a pre-tokeniser; None if it is another."""
    steps = before.get("pretokenizers", [before]) if before else []
    types = [step["type"] for step in steps]
    if types == ["ByteLevel"] and steps[0]["use_regex"]:
        return GPT2, steps[0]["add_prefix_space"]
    if types == ["Split", "ByteLevel"]:
        split, level = steps
        plain = split["behavior"] == "Isolated" and not split["invert"]
        if plain and not level["use_regex"] and not level["add_prefix_space"]:
            return split["pattern"].get("Regex"), False
    return None


def _normalizing(normalizer):
    if normalizer is None:
        return []
    return [part["type"] for part in normalizer.get("normalizers", [normalizer])]


def _ids_of_bytes(model):
    unknown = model["vocab"].get(model["unk_token"], -1)
    return tuple(model["vocab"].get(letter, unknown) for letter in letters_of_bytes())


def _merges(model):
    vocabulary = model["vocab"]
    return [
        (vocabulary[left], vocabulary[right], vocabulary[left + right])
        for left, right in model["merges"]
    ]


def _whole_words(model, vocabulary):
    """Entries that the reference, asked for the word they spell, gives as one token."""
    byte_of_letter = {letter: byte for byte, letter in enumerate(letters_of_bytes())}
    words = {}
    for entry, token_id in vocabulary.items():
        if byte_of_letter.keys() >= set(entry):
            if [token.id for token in model.tokenize(entry)] == [token_id]:
                words[bytes(map(byte_of_letter.get, entry))] = token_id
    return words


def _trims(processor):
    steps = processor.get("processors", [processor]) if processor else []
    return tuple(step["add_prefix_space"] for step in steps if step.get("trim_offsets"))
