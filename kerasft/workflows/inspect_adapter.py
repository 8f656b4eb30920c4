"""What the folder of an adapter holds, as `kerasft inspect` tells it."""

import math

from kerasft._errors import CheckpointError

# Settings of methods that are worth a line, as peft's config spells them.
TOLD = ("r", "init_r", "target_r", "lora_alpha", "use_rslora", "use_dora", "bias")
TOLD += ("num_virtual_tokens", "target_modules", "modules_to_save")
TOLD += ("reduction_factor", "non_linearity", "scaling", "leave_out")


def adapter_in(folder):
    """Method, base, weights and labels of an adapter's folder.

    Raises:
        CheckpointError: it cannot be read.
    """
    from kerasft.checkpoints.json_files import read_json
    from kerasft.checkpoints.tensors import TensorReader

    config = read_json(folder / "adapter_config.json")
    if not isinstance(config, dict):
        raise CheckpointError(f"{folder / 'adapter_config.json'}: not a JSON object.")
    notes = folder / "kerasft_adapter.json"
    own = read_json(notes) if notes.exists() else {}
    shapes = []
    for stem in _stems(folder, config):
        reader = TensorReader(folder, stem)
        shapes += [reader.shape(key) for key in reader.keys()]
    told = config.get("config")  # The adapters library's are a level down.
    told = told if isinstance(told, dict) else config
    labels = (own.get("config") or {}).get("id2label") or {}
    return {
        "kind": kind_of_run(folder, "adapter"),
        "method": own.get("method") or str(config.get("peft_type", "")).lower(),
        "base": config.get("base_model_name_or_path") or config.get("model_name"),
        "task": own.get("task") or config.get("task_type"),
        "settings": {name: told[name] for name in TOLD if told.get(name)},
        "parameters": sum(math.prod(shape) for shape in shapes),
        "tensors": len(shapes),
        "quantised": own.get("quantised") or "no",
        "labels": [labels[key] for key in sorted(labels, key=int)],
    }


def _stems(folder, config):
    """Names of the files with the weights, without their endings."""
    if "peft_type" in config:
        return ["adapter_model"]
    head = (folder / "model_head.safetensors").exists()
    return ["adapter", "model_head"] if head else ["adapter"]


def kind_of_run(folder, otherwise):
    """Whether a folder is that of a run, finished or not."""
    if not (folder / "recipe.yaml").exists():
        return otherwise
    finished = (folder / "metrics.json").exists()
    return "run" if finished else "unfinished run"
