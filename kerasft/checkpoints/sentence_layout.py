"""The folder layout of sentence-transformers, and how it is written.

`modules.json` lists the layers that follow the backbone: Pooling, and after it, each
optional, Dense and Normalize; each has a sub-folder of its own. `sentence_modules.py`
reads it.

Source: sentence-transformers 2 to 6; written is what all of them read.
"""

from dataclasses import dataclass, field

import numpy as np

from kerasft.checkpoints.folders import member
from kerasft.checkpoints.json_files import write_json
from kerasft.checkpoints.tensors import write_tensors

CLASSIFIER = "classifier"  # Stem of a file of ours: a head on the texts' vectors.
LISTS = (
    "modules.json",
    "sentence_bert_config.json",
    "config_sentence_transformers.json",
    f"{CLASSIFIER}.safetensors",
)
FOLDERS = ("1_Pooling", "2_Dense", "2_Normalize", "3_Normalize")
LAYOUT_FILES = (*LISTS, *FOLDERS)  # All that a save of ours may hold.
DOWNLOADED = (
    *LISTS,
    "0_*/*.json",
    "0_*/*.txt",
    "0_*/model*.safetensors",
    "[1-3]_*/config.json",
    "[1-3]_*/model.safetensors",
)
# Ours: their flag, and the word that newer versions have in its place.
POOLINGS = {
    "cls": ("pooling_mode_cls_token", "cls"),
    "mean": ("pooling_mode_mean_tokens", "mean"),
    "max": ("pooling_mode_max_tokens", "max"),
    "last": ("pooling_mode_lasttoken", "lasttoken"),
}
ACTIVATIONS = {
    None: "torch.nn.modules.linear.Identity",
    "tanh": "torch.nn.modules.activation.Tanh",
    "relu": "torch.nn.modules.activation.ReLU",
    "gelu": "torch.nn.modules.activation.GELU",
    "silu": "torch.nn.modules.activation.SiLU",
}


@dataclass(frozen=True)
class SentenceLayout:
    """What follows a backbone to make vectors of texts.

    Args:
        pooling: "cls", "mean", "max" or "last".
        normalise: whether vectors are brought to length 1.
        kernel: (width, size) of a dense layer after the pooling, or None.
        bias: (size,) of it, or None.
        activation: of it: a key of `ACTIVATIONS`.
        max_length: the most tokens of a text; None: as many as the model takes.
        prompts: name -> what a text of that kind begins with.
        backbone: the sub-folder of the backbone; "": the folder itself.
    """

    pooling: str = "mean"
    normalise: bool = False
    kernel: np.ndarray | None = field(default=None, repr=False)
    bias: np.ndarray | None = field(default=None, repr=False)
    activation: str | None = None
    max_length: int | None = None
    prompts: dict[str, str] = field(default_factory=dict)
    backbone: str = ""


def write_layout(folder, layout: SentenceLayout, width: int) -> None:
    """Write the files of a layout, and its weights, into an existing folder.

    Args:
        folder: holds the backbone's files.
        layout: what to write; its `backbone` is the folder itself.
        width: of the hidden states.
    """
    modules = [("", "Transformer"), ("1_Pooling", "Pooling")]
    flags = {flag: name == layout.pooling for name, (flag, _) in POOLINGS.items()}
    if layout.pooling != "last":  # Old versions do not know its flag.
        del flags[POOLINGS["last"][0]]
    parts = {
        "1_Pooling": {
            "word_embedding_dimension": width,
            "pooling_mode_mean_sqrt_len_tokens": False,
            **flags,
        }
    }
    if layout.kernel is not None:
        modules.append(("2_Dense", "Dense"))
        size = layout.kernel.shape[1]
        parts["2_Dense"] = {
            "in_features": width,
            "out_features": size,
            "bias": layout.bias is not None,
            "activation_function": ACTIVATIONS[layout.activation],
        }
    if layout.normalise:
        name = f"{len(modules)}_Normalize"
        modules.append((name, "Normalize"))
        parts[name] = {}
    for name, content in parts.items():
        member(folder, name).mkdir()
        write_json(member(folder, name) / "config.json", content)
    if layout.kernel is not None:
        tensors = {"linear.weight": layout.kernel.T}
        if layout.bias is not None:
            tensors["linear.bias"] = layout.bias
        write_tensors(member(folder, "2_Dense"), tensors.items())
    _write_lists(folder, modules, layout)


def _write_lists(folder, modules, layout):
    write_json(
        member(folder, "modules.json"),
        [
            {
                "idx": i,
                "name": str(i),
                "path": path,
                "type": f"sentence_transformers.models.{kind}",
            }
            for i, (path, kind) in enumerate(modules)
        ],
    )
    about = {"max_seq_length": layout.max_length, "do_lower_case": False}
    write_json(member(folder, "sentence_bert_config.json"), about)
    about = {
        "prompts": layout.prompts,
        "default_prompt_name": None,
        "similarity_fn_name": "cosine",
    }
    write_json(member(folder, "config_sentence_transformers.json"), about)
