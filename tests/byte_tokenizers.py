"""Byte-level BPE tokenizers of the well-known kinds, trained on the spot."""

import functools

from tokenizers import (
    AddedToken,
    Regex,
    Tokenizer,
    decoders,
    models,
    normalizers,
    pre_tokenizers,
    processors,
    trainers,
)

from kerasft.serving.fuzz import adversarial_texts

LLAMA3 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
QWEN2 = LLAMA3.replace("{1,3}", "")
GPT4O = (
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+"
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
    r"|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*"
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
    r"|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
SPECIAL = {
    "gpt2": ["<|endoftext|>"],
    "roberta": ["<s>", "<pad>", "</s>", "<unk>"],
    "llama3": ["<|begin_of_text|>", "<|end_of_text|>"],
    "qwen2": ["<|endoftext|>", "<|im_start|>"],
    "modernbert": ["[CLS]", "[SEP]", "[PAD]", "[MASK]"],
}
KINDS = tuple(SPECIAL)
# Words, and what the expressions are about.
PROSE = (
    "I'd say they've done what WE'LL do: don't stop, it's 12,345 or 1984!\r\n\r\n  A\t"
    " the theatre that others' mothers gathered there, in 2024; isn't it? \n \u00a0"
    " na\u00efve caf\u00e9s \u00fcber \u4e2d\u6587 \u0440\u0443\u0441 \U0001f600 "
).split(" ")


@functools.cache
def byte_level(kind: str) -> Tokenizer:
    """A tokenizer with the parts that models of this kind have; not to be changed."""
    own = Tokenizer(models.BPE())
    own.pre_tokenizer = _pre_tokenizer(kind)
    if kind in ("qwen2", "modernbert"):
        own.normalizer = normalizers.NFC()
    own.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=3000,
        special_tokens=SPECIAL[kind],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    texts = [" ".join(PROSE[i:] + PROSE[:i]) for i in range(len(PROSE))]
    own.train_from_iterator([*adversarial_texts(4000, 99), *texts], trainer)
    if kind == "llama3":
        own.model = with_all_splits(own)
    _finish(own, kind)
    return own


def _pre_tokenizer(kind):
    if kind in ("gpt2", "roberta", "modernbert"):
        return pre_tokenizers.ByteLevel(add_prefix_space=kind == "roberta")
    expression = Regex(LLAMA3 if kind == "llama3" else QWEN2)
    return pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(expression, "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )


def _finish(own, kind):
    if kind == "roberta":
        own.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0))
        own.add_special_tokens([AddedToken("<mask>", lstrip=True, normalized=False)])
        own.enable_padding(pad_id=1, pad_token="<pad>")
        return
    if kind == "gpt2":
        own.post_processor = processors.ByteLevel(trim_offsets=True)
    elif kind == "llama3":
        begin = "<|begin_of_text|>"
        template = processors.TemplateProcessing(
            single=f"{begin} $A",
            pair=f"{begin} $A {begin}:1 $B:1",
            special_tokens=[(begin, 0)],
        )
        own.post_processor = processors.Sequence(
            [processors.ByteLevel(trim_offsets=True), template]
        )
    elif kind == "modernbert":
        own.post_processor = processors.TemplateProcessing(
            single="[CLS] $A [SEP]",
            pair="[CLS] $A [SEP] $B [SEP]",
            special_tokens=[("[CLS]", 0), ("[SEP]", 1)],
        )
        return
    own.enable_padding(pad_id=1 if len(SPECIAL[kind]) > 1 else 0)


def with_all_splits(tokenizer: Tokenizer) -> models.BPE:
    """The model with each way to make each entry among its merges, as from tiktoken.

    So an entry may be made before the parts of it that come later in the vocabulary.
    """
    vocabulary = tokenizer.get_vocab()
    merges = []
    for entry in sorted(vocabulary, key=vocabulary.get):
        splits = [(entry[:i], entry[i:]) for i in range(1, len(entry))]
        merges += sorted(
            (split for split in splits if vocabulary.keys() >= set(split)),
            key=lambda split: tuple(map(vocabulary.get, split)),
        )
    return models.BPE(vocabulary, merges, ignore_merges=True)
