"""Sizes of models that begin with random weights: from a file, or by a name.

A preset says what a `config.json` would; the vocabulary is the tokenizer's.
"""

from pathlib import Path

from kerasft._errors import CheckpointError
from kerasft._registry import Registry

PRESETS = Registry(
    "preset",
    **{
        "gpt2-tiny": {
            "model_type": "gpt2",
            "n_embd": 128,
            "n_layer": 4,
            "n_head": 4,
            "n_positions": 256,
        },
        "gpt2-10m": {
            "model_type": "gpt2",
            "n_embd": 384,
            "n_layer": 6,
            "n_head": 6,
            "n_positions": 512,
        },
        "gpt2": {
            "model_type": "gpt2",
            "n_embd": 768,
            "n_layer": 12,
            "n_head": 12,
            "n_positions": 1024,
        },
        "llama-10m": {
            "model_type": "llama",
            "hidden_size": 384,
            "intermediate_size": 1024,
            "num_hidden_layers": 6,
            "num_attention_heads": 6,
            "num_key_value_heads": 2,
            "max_position_embeddings": 512,
            "tie_word_embeddings": True,
        },
        "llama-135m": {  # The sizes of SmolLM-135M.
            "model_type": "llama",
            "hidden_size": 576,
            "intermediate_size": 1536,
            "num_hidden_layers": 30,
            "num_attention_heads": 9,
            "num_key_value_heads": 3,
            "max_position_embeddings": 2048,
            "rms_norm_eps": 1e-5,
            "tie_word_embeddings": True,
        },
    },
)


def read_model_config(place: str) -> dict:
    """What a `config.json`, that of a folder, or a preset says.

    Raises:
        CheckpointError: no such file, or no JSON object.
    """
    from kerasft.checkpoints.json_files import read_json

    path = Path(place).expanduser()
    path = path / "config.json" if path.is_dir() else path
    if not path.exists() and place in PRESETS:
        return dict(PRESETS[place])
    if not path.is_file():
        raise CheckpointError(
            f"{path}: no such file. Expected a config.json, or one of the presets "
            f"{', '.join(PRESETS)}."
        )
    content = read_json(path)
    if not isinstance(content, dict):
        raise CheckpointError(f"{path}: not a JSON object.")
    return content
