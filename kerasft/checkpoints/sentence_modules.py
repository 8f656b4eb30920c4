"""Read the layout of sentence-transformers off a folder.

The trap: `modules.json` names classes and paths, and may come from anyone. A class is
one of four that are known here, whatever else the string says; a path is a plain name.

Source: sentence-transformers 2 to 6, the files they write.
"""

import re

from kerasft._errors import CheckpointError
from kerasft.checkpoints.folders import member
from kerasft.checkpoints.json_files import read_json
from kerasft.checkpoints.sentence_layout import (
    ACTIVATIONS,
    POOLINGS,
    SentenceLayout,
)
from kerasft.checkpoints.tensors import TensorReader

KNOWN_TYPE = re.compile(
    r"sentence_transformers\.(?:\w+\.)*(Transformer|Pooling|Dense|Normalize)"
)
ORDERS = (
    ("Transformer", "Pooling"),
    ("Transformer", "Pooling", "Normalize"),
    ("Transformer", "Pooling", "Dense"),
    ("Transformer", "Pooling", "Dense", "Normalize"),
)
UNKNOWN_FLAGS = {
    "pooling_mode_mean_sqrt_len_tokens": "mean_sqrt_len_tokens",
    "pooling_mode_weightedmean_tokens": "weightedmean",
}


def read_layout(folder) -> SentenceLayout:
    """The layout of a folder; a plain checkpoint's is the mean of all tokens.

    Raises:
        CheckpointError: a module or a setting that is not known here, a path that is
            no plain name, or files that do not fit together.
    """
    path = member(folder, "modules.json")
    if not path.exists():
        return SentenceLayout()
    modules = _modules(path)
    kinds = tuple(kind for kind, _ in modules)
    if kinds not in ORDERS:
        raise CheckpointError(
            f"{path}: lists {', '.join(kinds)}; known are Transformer and Pooling, "
            "and after them Dense and Normalize, each once or not at all."
        )
    place = dict(modules)
    for name in place.values():
        if name:
            member(folder, name)
    backbone = place["Transformer"]
    root = member(folder, backbone) if backbone else folder
    about = {"pooling": _pooling(member(folder, place["Pooling"]))}
    if "Dense" in place:
        about |= _dense(member(folder, place["Dense"]))
    if "Normalize" in place:
        normalize = member(folder, place["Normalize"])
        _raise_unless_text_level(member(normalize, "config.json"))
    return SentenceLayout(
        normalise="Normalize" in place,
        max_length=_max_length(root),
        prompts=_prompts(folder),
        backbone=backbone,
        **about,
    )


def _modules(path):
    """(kind, sub-folder) of each module, in their order."""
    listed = read_json(path)
    modules = []
    for entry in listed if isinstance(listed, list) else ():
        entry = entry if isinstance(entry, dict) else {}
        known = KNOWN_TYPE.fullmatch(str(entry.get("type")))
        if not known:
            raise CheckpointError(
                f"{path}: has a module of the type {entry.get('type')!r:.80}, which is "
                "not known here. Known are Transformer, Pooling, Dense and Normalize "
                "of sentence_transformers."
            )
        kind, name = known[1], entry.get("path", "")
        if not isinstance(name, str) or (not name and kind != "Transformer"):
            raise CheckpointError(f"{path}: {kind} has no path.")
        modules.append((kind, name))
    return modules


def _object(path):
    """A JSON object, {} where there is no such file."""
    content = read_json(path) if path.exists() else {}
    if not isinstance(content, dict):
        raise CheckpointError(f"{path}: not a JSON object.")
    return content


def _pooling(folder):
    """Our name of the one pooling that is switched on."""
    path = member(folder, "config.json")
    content = _object(path)
    named = content.get("pooling_mode")
    names = [named] if isinstance(named, str) else named
    if names is None:
        flags = {flag: name for flag, name in POOLINGS.values()} | UNKNOWN_FLAGS
        names = [name for flag, name in flags.items() if content.get(flag)] or ["mean"]
    ours = {theirs: name for name, (_, theirs) in POOLINGS.items()}
    if not isinstance(names, list) or len(names) != 1 or names[0] not in ours:
        raise CheckpointError(
            f"{path}: pools by {names!r:.120}; known is one of: {', '.join(ours)}."
        )
    if content.get("include_prompt", True) is not True:
        raise CheckpointError(
            f"{path}: leaves prompts out of the pooling (include_prompt), which is not "
            "known here."
        )
    return ours[names[0]]


def _dense(folder):
    """Weights and activation of the dense layer."""
    path = member(folder, "config.json")
    content = _object(path)
    _raise_unless_text_level(path)
    ours = {theirs: name for name, theirs in ACTIVATIONS.items()}
    named = content.get("activation_function", ACTIVATIONS["tanh"])
    problems = []
    if named not in ours:
        problems.append(f"its activation is {named!r:.80}; known are {', '.join(ours)}")
    if content.get("use_residual"):
        problems.append("it has a residual, which is not known here")
    reader = TensorReader(folder)
    size = (content.get("out_features"), content.get("in_features"))
    wanted = {"linear.weight": size}
    if content.get("bias", True):
        wanted["linear.bias"] = size[:1]
    for key, shape in wanted.items():
        if key not in reader:
            problems.append(f"model.safetensors has no {key}")
        elif reader.shape(key) != shape:
            problems.append(
                f"{key} has shape {reader.shape(key)}, by config.json it is {shape}"
            )
    if problems:
        raise CheckpointError(f"{path}: " + "; ".join(problems) + ".")
    return {
        "activation": ours[named],
        "kernel": reader.read("linear.weight").T,
        "bias": reader.read("linear.bias") if "linear.bias" in wanted else None,
    }


def _raise_unless_text_level(path):
    """Refuse a layer that works on anything else than the texts' vectors."""
    content = _object(path)
    for key in ("module_input_name", "module_output_name"):
        if content.get(key) not in (None, "sentence_embedding"):
            raise CheckpointError(
                f"{path}: {key} is {content[key]!r:.80}; only 'sentence_embedding' is "
                "known here."
            )


def _max_length(folder):
    path = member(folder, "sentence_bert_config.json")
    content = _object(path)
    if content.get("do_lower_case"):
        raise CheckpointError(
            f"{path}: has texts in lower case before they are tokenised. Give texts in "
            "lower case, and set do_lower_case to false."
        )
    length = content.get("max_seq_length")
    if length is not None and (type(length) is not int or length < 1):
        raise CheckpointError(f"{path}: max_seq_length is {length!r:.40}.")
    return length


def _prompts(folder):
    path = member(folder, "config_sentence_transformers.json")
    content = _object(path)
    prompts, usual = content.get("prompts") or {}, content.get("default_prompt_name")
    if not isinstance(prompts, dict) or not all(
        isinstance(prompt, str) for prompt in prompts.values()
    ):
        raise CheckpointError(f"{path}: prompts are not texts by name.")
    if usual is not None and prompts.get(usual) != "":
        raise CheckpointError(
            f"{path}: puts the prompt {usual!r:.40} before every text "
            "(default_prompt_name). Write it into your texts, and set "
            "default_prompt_name to null."
        )
    return prompts
