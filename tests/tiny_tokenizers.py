"""Small WordPiece tokenizers, trained on the spot or made of given words."""

import json

from tokenizers import (
    Tokenizer,
    decoders,
    models,
    normalizers,
    pre_tokenizers,
    processors,
)

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
WORDS = (
    "a good bad film movie very the is was not great awful plot boring news sport "
    "##s ##ly"
).split()


def wordpiece(words=WORDS, lowercase=True, typed=True):
    """A BERT tokenizer with the special tokens, `words` and all printable ASCII.

    Without `typed` second texts are told by two marks, not by types, as RoBERTa's.
    """
    characters = [chr(c) for c in range(33, 127)]
    if lowercase:
        characters = [c for c in characters if c == c.lower()]
    entries = [*SPECIAL, *words]
    entries += [c for c in characters if c not in entries][: 101 - len(entries)]
    vocabulary = {entry: i for i, entry in enumerate(entries)}
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=lowercase)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair=f"[CLS] $A [SEP] {'$B:1 [SEP]:1' if typed else '[SEP] $B [SEP]'}",
        special_tokens=[("[CLS]", 2), ("[SEP]", 3)],
    )
    tokenizer.decoder = decoders.WordPiece()
    tokenizer.add_special_tokens(SPECIAL)
    return tokenizer


def pieces():
    """A tokenizer of Llama 2's kind: letters, a few merges, and bytes for the rest."""
    mark = "\u2581"
    names = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256)), mark]
    names += [chr(c) for c in range(33, 127)]
    pairs = [(mark, "t"), ("h", "e"), (mark + "t", "he"), (mark, "a"), (mark, mark)]
    names += ["".join(pair) for pair in pairs]
    vocabulary = {name: i for i, name in enumerate(names)}
    tokenizer = Tokenizer(
        models.BPE(
            vocabulary, pairs, unk_token="<unk>", fuse_unk=True, byte_fallback=True
        )
    )
    steps = [normalizers.Prepend(mark), normalizers.Replace(" ", mark)]
    tokenizer.normalizer = normalizers.Sequence(steps)
    parts = [decoders.Replace(mark, " "), decoders.ByteFallback(), decoders.Fuse()]
    tokenizer.decoder = decoders.Sequence([*parts, decoders.Strip(" ", 1, 0)])
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A", pair="<s> $A <s>:1 $B:1", special_tokens=[("<s>", 1)]
    )
    tokenizer.add_special_tokens(["<unk>", "<s>", "</s>"])
    return tokenizer


def save_tokenizer(folder, **settings):
    """Write tokenizer.json and tokenizer_config.json, 101 ids at most."""
    wordpiece(**settings).save(str(folder / "tokenizer.json"))
    about = {
        "tokenizer_class": "BertTokenizer",
        "do_lower_case": settings.get("lowercase", True),
        "model_max_length": 512,
        **{f"{name[1:-1].lower()}_token": name for name in SPECIAL},
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(about))
    return folder
