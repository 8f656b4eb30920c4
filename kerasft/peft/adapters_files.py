"""An adapter's folder as the `adapters` library reads and writes it.

`adapter_config.json` and `adapter.safetensors`; the trained head in `head_config.json`
and `model_head.safetensors`. The trap: `adapter_config.json` is the name of peft's
file, too, and the adapter's own name stands within each key.

Source: adapters 1.3.0.
"""

import re

from kerasft._errors import CheckpointError
from kerasft.checkpoints.folders import member
from kerasft.checkpoints.json_files import write_json
from kerasft.checkpoints.tensors import TensorReader, write_tensors
from kerasft.peft.places import TRAINED_HEADS

HEAD_CONFIG = "head_config.json"
STEM, HEAD_STEM = "adapter", "model_head"
OWN_FILES = (HEAD_CONFIG, f"{STEM}.safetensors*", f"{HEAD_STEM}*.safetensors*")
PICKLES = {STEM: "pytorch_adapter.bin", HEAD_STEM: "pytorch_model_head.bin"}
VERSION = "adapters.1.3.0"
NAMED = re.compile(r"(?<=\.adapters\.)[^.]+(?=\.)")


class AdapterReader:
    """The tensors of an adapter and of its head, as of one `TensorReader`.

    Args:
        folder: of the adapter.
        adapter: the `Adapter` that it is read for, whose keys these become; its name in
            the file may be another, and the file that of a model with a head, or
            without one. None: as they are.

    Raises:
        CheckpointError: pickles, no tensors, or those of several adapters.
    """

    def __init__(self, folder, adapter=None):
        sources = {}
        for stem in (STEM, HEAD_STEM):
            path = member(folder, f"{stem}.safetensors")
            if not path.exists() and member(folder, PICKLES[stem]).exists():
                raise CheckpointError(_pickled(folder, PICKLES[stem]))
            if stem == STEM or path.exists():
                reader = TensorReader(folder, stem)
                sources |= {key: (reader, key) for key in reader.keys()}
        names = {found for key in sources for found in NAMED.findall(key)}
        if len(names) > 1:
            raise CheckpointError(
                f"{folder}: holds several adapters ({', '.join(sorted(names))}). Save "
                "each into a folder of its own."
            )
        self._sources = {
            _respelled(key, adapter): source for key, source in sources.items()
        }

    def keys(self):
        """Names of all tensors."""
        return self._sources.keys()

    def shape(self, key):
        """Shape of a tensor, from the header."""
        reader, key = self._sources[key]
        return reader.shape(key)

    def read(self, key):
        """A tensor as float32; errors as of `TensorReader.read`."""
        reader, key = self._sources[key]
        return reader.read(key)


def _respelled(key, adapter):
    """A key as the adapter has it: its name, and whether the model has a head."""
    if adapter is None or not NAMED.search(key):
        return key
    prefix = adapter.places.family.prefix
    bare = NAMED.sub(adapter.title, key).removeprefix(prefix)
    return prefix + bare if adapter.places.has_head else bare


def more_modules(keys):
    """Layers of a head in the file that are not trained anyway."""
    modules = {key.rpartition(".")[0] for key in keys if not NAMED.search(key)}
    usual = tuple(name for names in TRAINED_HEADS.values() for name in names)
    return tuple(
        sorted(
            module
            for module in modules
            if not any(part.endswith(usual) for part in module.split("."))
        )
    )


def _pickled(folder, name):
    return (
        f"{folder}: holds {name}, a pickle, which can run code when opened, so kerasft "
        "never does. Save the adapter again, where you trust the file:\n"
        "    model.save_adapter(folder, name, use_safetensors=True)"
    )


def fill_folder(folder, adapter, tensors, base, labels):
    """Write the library's files of an adapter into an existing folder.

    Args:
        folder: where to.
        adapter: the `Adapter`.
        tensors: (key, array) of all that is saved.
        base: name of the checkpoint it belongs to, or None.
        labels: name -> number of the labels, or None where they have no names.
    """
    tensors = list(tensors)
    head = [pair for pair in tensors if not NAMED.search(pair[0])]
    common = _common(adapter, base)
    config = {"config": adapter.method.content(adapter), "name": adapter.title}
    write_json(member(folder, "adapter_config.json"), common | config)
    write_tensors(folder, [p for p in tensors if NAMED.search(p[0])], stem=STEM)
    if not head:
        return
    labels = labels or {f"LABEL_{i}": i for i in range(_label_count(adapter))}
    told = {"config": None, "name": None, "label2id": labels, "num_labels": len(labels)}
    write_json(member(folder, HEAD_CONFIG), common | told)
    write_tensors(folder, head, stem=HEAD_STEM)


def _common(adapter, base):
    """Fields of both JSON files."""
    places = adapter.places
    family = places.family
    end = family.heads[places.head_name].architecture if places.has_head else "Model"
    return {
        "hidden_size": places.backbone.config.hidden_size,
        "model_class": family.architecture + end,
        "model_name": base or "",
        "model_type": family.model_type,
        "version": VERSION,
    }


def _label_count(adapter):
    """Logits of the head; 2, as `transformers` has it, where it has no such layer."""
    for place in adapter.places.all:
        if place.in_head and place.name == "logits":
            return place.layer.units
    return 2
