"""Tell what a folder holds, without loading a model or TensorFlow.

A folder in; family, sizes, head, labels, tokenizer and files out, as a table or JSON.
Only headers and JSON files are read.
"""

import json
import math
import re
import sys
from dataclasses import dataclass

from rich.table import Table

from kerasft._errors import CheckpointError
from kerasft.training.settings import Settings, setting
from kerasft.workflows.console import RESULTS
from kerasft.workflows.inspect_adapter import adapter_in, kind_of_run
from kerasft.workflows.inspect_folds import folds_in

NEXT_TOKENS = ("ForCausalLM", "LMHeadModel")  # How such architectures' names end.

# What is shown <- how the families spell it in config.json.
SIZES = {
    "width": ("hidden_size", "dim", "n_embd"),
    "blocks": ("num_hidden_layers", "n_layers", "n_layer"),
    "heads": ("num_attention_heads", "n_heads", "n_head"),
    "inner_width": ("intermediate_size", "hidden_dim", "n_inner"),
    "positions": ("max_position_embeddings", "n_positions"),
    "vocabulary": ("vocab_size",),
}
# The same of decoders; model types as `kerasft.models` has them.
DECODERS = ("gpt2", "llama", "mistral", "qwen2", "qwen3")
DECODER_SIZES = {
    "key_value_heads": ("num_key_value_heads", "num_attention_heads", "n_head"),
    "head_width": ("head_dim",),
    "window": ("sliding_window",),
}
BYTES = {8: "float64", 4: "float32", 2: "float16 or bfloat16"}


@dataclass(frozen=True, kw_only=True)
class InspectSettings(Settings):
    """Inspection."""

    folder: str = setting(help="run folder, checkpoint or export", positional=True)
    json: bool = setting(False, "print JSON instead of a table")


def inspect(settings: InspectSettings) -> dict:
    """Tell what a folder holds: family, sizes, head, labels, tokenizer, files.

    Raises:
        KerasftError: no such folder, or nothing in it that can be read.
    """
    from kerasft.checkpoints.locate import locate

    folder = locate(settings.folder)
    found = _told(folder)
    found["files"] = {
        path.name: path.stat().st_size
        for path in sorted(folder.iterdir())
        if path.is_file()
    }
    if settings.json:
        sys.stdout.write(json.dumps(found, indent=2, ensure_ascii=False) + "\n")
    else:
        _show(folder, found)
    return found


def _told(folder):
    names = sorted(path.name for path in folder.iterdir())
    folds = [name for name in names if re.fullmatch(r"fold-\d+", name)]
    if "saved_model.pb" in names:
        return _saved_model(folder)
    if "config.json" in names:
        return _checkpoint(folder)
    if "adapter_config.json" in names:
        return adapter_in(folder)
    if folds:
        return folds_in(folder, folds, _told)
    raise CheckpointError(
        f"{folder}: holds neither config.json (a checkpoint) nor adapter_config.json "
        "(an adapter) nor saved_model.pb (an export) nor fold-1 (a cross-validation), "
        f"but {', '.join(names[:5]) or 'nothing'}."
    )


def _saved_model(folder):
    labels = folder / "assets" / "labels.txt"
    names = labels.read_text("utf-8").splitlines() if labels.exists() else []
    return {"kind": "SavedModel export", "labels": names}


def _checkpoint(folder):
    from kerasft.checkpoints.json_files import read_json
    from kerasft.checkpoints.tensors import TensorReader

    config = read_json(folder / "config.json")
    if not isinstance(config, dict):
        raise CheckpointError(f"{folder / 'config.json'}: not a JSON object.")
    reader = TensorReader(folder)
    weights = sum(math.prod(reader.shape(key)) for key in reader.keys())
    return {
        "kind": kind_of_run(folder, "checkpoint"),
        "family": config.get("model_type"),
        "architecture": ", ".join(config.get("architectures") or []),
        "sizes": _sizes(config),
        "parameters": weights,
        "tensors": len(reader.keys()),
        "stored_as": _stored_as(folder, config, weights),
        **_decoder(folder, config),
        "problem": config.get("problem_type"),
        "labels": _labels(config),
        "tokenizer": _tokenizer(folder),
    }


def _sizes(config):
    """Sizes by our names; a decoder's with what an encoder has not."""
    sizes = _found(config, SIZES)
    if config.get("model_type") not in DECODERS:
        return sizes
    more = _found(config, DECODER_SIZES)
    width, heads = sizes["width"], sizes["heads"]
    if more["head_width"] is None and width and heads:
        more["head_width"] = width // heads
    if not _slides(config):
        del more["window"]
    if sizes["inner_width"] is None and width:
        sizes["inner_width"] = 4 * width  # As GPT-2's files leave it out.
    return sizes | more


def _found(config, names):
    return {
        name: next((config[key] for key in spelled if config.get(key)), None)
        for name, spelled in names.items()
    }


def _slides(config):
    """Whether some blocks see no further back than a window."""
    asked = config.get("use_sliding_window", config["model_type"] == "mistral")
    return bool(asked and config.get("sliding_window"))


def _decoder(folder, config):
    """What a checkpoint tells of how it writes; nothing of encoders."""
    from kerasft.checkpoints.json_files import read_json

    if config.get("model_type") not in DECODERS:
        return {}
    told = {}
    for name in ("generation_config.json", "tokenizer_config.json"):
        path = folder / name
        told[name] = read_json(path) if path.is_file() else {}
    ends = told["generation_config.json"].get("eos_token_id")
    ends = config.get("eos_token_id") if ends is None else ends
    template = (folder / "chat_template.jinja").is_file()
    template = template or bool(told["tokenizer_config.json"].get("chat_template"))
    heads = [str(name) for name in config.get("architectures") or []]
    writes = any(name.endswith(NEXT_TOKENS) for name in heads)
    return {
        "decoder": {
            "writes": "texts" if writes else "nothing: no head for next tokens",
            "ends_with_ids": ends,
            "chat_template": "yes" if template else "no",
        }
    }


def _labels(config):
    """Names in the order of their numbers; JSON files sort 10 before 2."""
    names = config.get("id2label") or {}
    return [names[key] for key in sorted(names, key=lambda key: (len(key), key))]


def _stored_as(folder, config, weights):
    """By the bytes of a weight; the header's own words are the reader's business."""
    stored = sum(path.stat().st_size for path in folder.glob("model*.safetensors"))
    each = round(stored / max(1, weights))
    named = str(config.get("dtype") or config.get("torch_dtype") or "")
    found = BYTES.get(each, f"{each} bytes a weight")
    return named if named and named in found else found


def _tokenizer(folder):
    from kerasft.checkpoints.json_files import read_json

    settings = folder / "tokenizer_config.json"
    about = read_json(settings) if settings.exists() else {}
    if not (folder / "tokenizer.json").exists():
        return {"type": about.get("tokenizer_class"), "max_length": None}
    model = read_json(folder / "tokenizer.json", limit=256 * 2**20)["model"]
    return {
        "type": model.get("type"),
        "pieces": len(model.get("vocab", ())),
        "max_length": about.get("model_max_length"),
    }


def _show(folder, found):
    table = Table(title=str(folder), show_header=False, box=None, title_justify="left")
    for name, value in found.items():
        if name == "files":
            value = [f"{file}  {_size(size)}" for file, size in value.items()]
        table.add_row(name.replace("_", " "), _words(value))
    RESULTS.print(table)


def _words(value):
    if isinstance(value, dict):
        return "\n".join(
            f"{name.replace('_', ' ')} {_words(part)}" for name, part in value.items()
        )
    if isinstance(value, list):
        return "\n".join(map(str, value))
    return f"{value:,}" if isinstance(value, int) else str(value or "not told")


def _size(count):
    for unit in ("B", "kB", "MB"):
        if count < 1000:
            return f"{count:.0f} {unit}"
        count /= 1000
    return f"{count:.1f} GB"
