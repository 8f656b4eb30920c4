"""Small chat tokenizers, trained on the spot, and templates in four known styles."""

import json

from tokenizers import (
    AddedToken,
    Tokenizer,
    decoders,
    models,
    normalizers,
    pre_tokenizers,
    processors,
    trainers,
)

TEXTS = [
    "user assistant system You are a helpful assistant. The quick brown fox jumps.",
    "What is the capital of France? The capital of France is Paris. [INST] [/INST]",
    "Tell me a joke, please! Why did the chicken cross the road? <|user|> <<SYS>>",
]
CHATML = """{% for message in messages %}
{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n' }}
{% endfor %}
{% if add_generation_prompt %}
{{ '<|im_start|>assistant\n' }}
{% endif %}
"""
CHATML = CHATML.replace("%}\n", "%}").replace("}}\n", "}}")
MARKED = """{%- for message in messages -%}
    {{- '<|im_start|>' ~ message.role ~ '\n' -}}
    {%- if message.role == 'assistant' -%}
        {%- generation -%}
            {{- message.content -}}{{- '<|im_end|>' -}}
        {%- endgeneration -%}
    {%- else -%}
        {{- message.content -}}{{- '<|im_end|>' -}}
    {%- endif -%}
    {{- '\n' -}}
{%- endfor -%}
{%- if add_generation_prompt -%}{{- '<|im_start|>assistant\n' -}}{%- endif -%}"""
LLAMA2 = """{% if messages[0]['role'] == 'system' %}
    {% set rest = messages[1:] %}
    {% set told = '<<SYS>>\\n' + messages[0]['content'] + '\\n<</SYS>>\\n\\n' %}
{% else %}
    {% set rest = messages %}
    {% set told = '' %}
{% endif %}
{% for message in rest %}
    {% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}
        {{ raise_exception('Roles must alternate user/assistant/user/assistant/...') }}
    {% endif %}
    {% if message['role'] == 'user' %}
        {% set words = (told if loop.first else '') + message['content'] %}
{{- bos_token + '[INST] ' + words.strip() + ' [/INST]' -}}
    {% else %}
{{- ' ' + message['content'].strip() + ' ' + eos_token -}}
    {% endif %}
{% endfor %}"""
LLAMA3 = (
    "{% for message in messages %}{% set content = '<|start_header_id|>' + "
    "message['role'] + '<|end_header_id|>\n\n' + message['content'] | trim + "
    "'<|eot_id|>' %}{% if loop.index0 == 0 %}{% set content = bos_token + content %}"
    "{% endif %}{{ content }}{% endfor %}{% if add_generation_prompt %}"
    "{{ '<|start_header_id|>assistant<|end_header_id|>\n\n' }}{% endif %}"
)
ZEPHYR = (
    "{% for message in messages %}\n{% if message['role'] == 'user' %}\n"
    "{{ '<|user|>\n' + message['content'] + eos_token }}\n"
    "{% elif message['role'] == 'system' %}\n"
    "{{ '<|system|>\n' + message['content'] + eos_token }}\n"
    "{% elif message['role'] == 'assistant' %}\n"
    "{{ '<|assistant|>\n' + message['content'] + eos_token }}\n{% endif %}\n"
    "{% if loop.last and add_generation_prompt %}\n{{ '<|assistant|>' }}\n"
    "{% endif %}\n{% endfor %}"
)
TEMPLATES = {
    "chatml": CHATML,
    "marked": MARKED,
    "llama2": LLAMA2,
    "llama3": LLAMA3,
    "zephyr": ZEPHYR,
}
SPECIAL = ["<s>", "</s>", "<|im_start|>", "<|im_end|>"]
SPECIAL += ["<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"]


def byte_level(texts=TEXTS, special=SPECIAL, size=400):
    """A byte-level BPE tokenizer, as GPT-2's and Llama 3's are."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.post_processor = processors.ByteLevel(trim_offsets=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=size,
        special_tokens=list(special),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts * 3, trainer)
    # As tokens of tools are in many checkpoints: added, but not special.
    tokenizer.add_tokens([AddedToken("<tool>", normalized=False)])
    return tokenizer


def pieces(texts=TEXTS, special=SPECIAL):
    """A BPE tokenizer over "▁", as Llama 2's: a space stands before each stretch."""
    tokenizer = Tokenizer(models.BPE(byte_fallback=True, unk_token="<s>"))
    prepended = [normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")]
    tokenizer.normalizer = normalizers.Sequence(prepended)
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    trainer = trainers.BpeTrainer(
        vocab_size=400, special_tokens=list(special), show_progress=False
    )
    tokenizer.train_from_iterator(texts * 3, trainer)
    return tokenizer


def metaspace(texts=TEXTS, special=SPECIAL):
    """A Unigram tokenizer that puts a space before the first stretch alone."""
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first")
    tokenizer.decoder = decoders.Metaspace(prepend_scheme="first")
    trainer = trainers.UnigramTrainer(
        vocab_size=120,
        special_tokens=[*special, "<unk>"],
        unk_token="<unk>",
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts * 3, trainer)
    return tokenizer


TOKENIZERS = {"byte_level": byte_level, "pieces": pieces, "metaspace": metaspace}


def save_chat_tokenizer(folder, kind="byte_level", template=None, **about):
    """Write tokenizer.json and tokenizer_config.json."""
    TOKENIZERS[kind]().save(str(folder / "tokenizer.json"))
    settings = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": "<s>",
        "eos_token": "</s>",
        "model_max_length": 512,
        **({} if template is None else {"chat_template": template}),
        **about,
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    return folder
