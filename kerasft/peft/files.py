"""An adapter's folder, as Hugging Face's peft reads and writes it.

`adapter_config.json` and `adapter_model.safetensors`; what is ours alone (label names,
what the base was) is in `kerasft_adapter.json`, which nobody else needs. Loading is
strict: every key that is missing, too many or of another shape is told in one error,
before anything is changed. No field of the JSON selects code.

Methods that peft does not have are in the `adapters` library's files, which
`adapters_files` knows.

Source: peft 0.21.2.
"""

import hashlib

import numpy as np
from keras import ops

from kerasft._errors import CheckpointError, SettingsError
from kerasft.checkpoints.folders import atomic_folder, member
from kerasft.checkpoints.json_files import read_json, write_json
from kerasft.checkpoints.names import raise_misfits
from kerasft.checkpoints.tensors import TensorReader, write_tensors
from kerasft.peft import adapters_config, adapters_files, base_copies
from kerasft.peft.method import settings_of

CONFIG, OWN = "adapter_config.json", "kerasft_adapter.json"
STEM = "adapter_model"
OWN_FILES = (CONFIG, OWN, f"{STEM}*.safetensors*", *adapters_files.OWN_FILES)
PEFT_VERSION = "0.21.2"
# What peft puts before the model's own names; of prompts one word less.
KEY_STARTS = ("base_model.model.", "base_model.")
# Copies of the same tensor that peft writes under other names.
COPIES = (".modules_to_save.", ".original_module.")


def is_adapter(folder):
    """Whether a folder holds an adapter, and not a checkpoint."""
    return (
        member(folder, CONFIG).exists() and not member(folder, "config.json").exists()
    )


def write_adapter(folder, adapter, base, extra):
    """Write an adapter's folder, whole or not at all.

    Args:
        folder: where to.
        adapter: the `Adapter`; its values of the model's own weights are up to date.
        base: name or folder of the checkpoint that it belongs to, or None.
        extra: more for our own file.
    """
    with atomic_folder(folder, mark=CONFIG, own_files=OWN_FILES) as new:
        fill_folder(new, adapter, base, extra)


def fill_folder(folder, adapter, base, extra):
    """Write the files of an adapter into an existing folder."""
    method, tensors = adapter.method, _all_tensors(adapter)
    own = {
        "method": method.kind,
        "settings": settings_of(method),
        "base": fingerprint(adapter.places.backbone),
        **extra,
    }
    write_json(member(folder, OWN), own)
    if method.peft_type is None:
        labels = extra.get("config", {}).get("label2id")
        adapters_files.fill_folder(folder, adapter, tensors, base, labels)
        return
    common = {
        "auto_mapping": None,
        "base_model_name_or_path": base,
        "inference_mode": True,
        "modules_to_save": adapter.saved_modules(),
        "peft_type": method.peft_type,
        "peft_version": PEFT_VERSION,
        "revision": None,
        "task_type": adapter.task_type,
    }
    write_json(member(folder, CONFIG), common | method.content(adapter))
    write_tensors(folder, tensors, stem=STEM)


def _all_tensors(adapter):
    yield from adapter.method.tensors(adapter)
    paths = {id(weight): path for path, weight in adapter.in_place.items()}
    for key, (weight, turned) in adapter.keys_in_place().items():
        array = adapter.values[paths[id(weight)]]
        yield key, array.T if turned else array


def read_own(folder):
    """Our own file of an adapter's folder; {} where there is none."""
    path = member(folder, OWN)
    content = read_json(path) if path.exists() else {}
    if not isinstance(content, dict):
        raise CheckpointError(f"{path}: not a JSON object.")
    return content


def read_config(folder):
    """`adapter_config.json` of a folder.

    Raises:
        CheckpointError: there is none, or it is no adapter's.
    """
    path = member(folder, CONFIG)
    content = read_json(path)
    if adapters_config.is_theirs(content):
        adapters_config.check(content, path)
    elif not isinstance(content, dict) or not content.get("peft_type"):
        raise CheckpointError(
            f"{path}: has no peft_type, so it is no adapter of peft's format; nor is "
            "it one of the adapters library, which has config and version."
        )
    return content


def base_of(folder):
    """Name or folder of the checkpoint that an adapter's folder says it belongs to.

    Raises:
        CheckpointError: it names none.
    """
    content = read_config(folder)
    theirs = adapters_config.is_theirs(content)
    base = content.get("model_name" if theirs else "base_model_name_or_path")
    if not isinstance(base, str) or not base:
        raise CheckpointError(
            f"{folder}: an adapter that does not name its base. Load the base, then "
            "call load_adapter."
        )
    return base


def saved_keys(folder):
    """Keys of an adapter's folder, those of the head as the model has them."""
    for key in _reader(folder, read_config(folder)).keys():
        start = next((s for s in KEY_STARTS if key.startswith(s)), "")
        yield key.removeprefix(start)


def _reader(folder, content, adapter=None):
    """All tensors of an adapter's folder, for an adapter that they are to fill."""
    if adapters_config.is_theirs(content):
        return adapters_files.AdapterReader(folder, adapter)
    return TensorReader(folder, STEM)


def read_method(folder, methods):
    """The `Method` of an adapter's folder.

    Args:
        folder: of the adapter.
        methods: classes of methods, by kind.

    Raises:
        CheckpointError: an unknown method, or settings of it that are not done here.
    """
    content, own = read_config(folder), read_own(folder)
    reader = _reader(folder, content)
    method = _class_of(content, own, reader, methods, folder)
    settings = own.get("settings")
    content["kerasft"] = settings if isinstance(settings, dict) else {}
    shapes = {key: reader.shape(key) for key in reader.keys()}
    try:
        return method.from_content(content).resized(content, shapes)
    except (SettingsError, TypeError) as error:
        raise CheckpointError(f"{member(folder, CONFIG)}: {error}") from error


def _class_of(content, own, reader, methods, folder):
    """The class that a config means; several share a type, then our own file tells."""
    peft_type = content.get("peft_type")
    fitting = [m for m in methods.values() if m.peft_type == peft_type]
    fitting.sort(key=lambda method: method.kind != own.get("method"))
    for method in fitting:
        if method.fits(content, reader):
            return method
    if peft_type is None:
        raise CheckpointError(
            f"{member(folder, CONFIG)}: {adapters_config.unknown_form(content)}"
        )
    known = ", ".join(sorted({m.peft_type for m in methods.values() if m.peft_type}))
    raise CheckpointError(
        f"{member(folder, CONFIG)}: peft_type is {peft_type!r}; kerasft knows {known}."
    )


def fill_adapter(folder, adapter, strict=True, others=()):
    """Set an adapter's weights, and its values of the model's own, from a folder.

    Args:
        folder: of the adapter's files.
        adapter: the `Adapter` that is filled.
        strict: whether a misfit is an error.
        others: misfits that are known already, a clause each.

    Raises:
        CheckpointError: keys that are missing, too many or of another shape, or
            another base than the adapter was made for; all of them told.
    """
    reader = _reader(folder, read_config(folder), adapter)
    shapes = {key: reader.shape(key) for key in reader.keys()}
    misfits = [*others, *_other_base(folder, adapter)]
    used, more = _fill_in_place(adapter, reader, shapes, strict)
    misfits += more
    content = read_config(folder)
    own, more = adapter.method.fill(adapter, reader.read, shapes, content, strict)
    used |= own
    misfits += more
    unread = sorted(set(shapes) - used)
    unread = [key for key in unread if not any(copy in key for copy in COPIES)]
    more = [base_copies.misfit_of(adapter, reader, key) for key in unread]
    misfits += [misfit for misfit in more if misfit is not None]
    if strict:
        raise_misfits(folder, misfits)
    return misfits


def _other_base(folder, adapter):
    made_for = read_own(folder).get("base")
    here = fingerprint(adapter.places.backbone)
    if made_for is not None and here is not None and made_for != here:
        yield (
            "the adapter was made for another base checkpoint "
            f"({made_for}), not for this one ({here})"
        )


def _fill_in_place(adapter, reader, shapes, strict):
    """Read values of the model's own weights; give used keys and misfits."""
    used, misfits, ready = set(), [], {}
    paths = {id(weight): path for path, weight in adapter.in_place.items()}
    for key, (weight, turned) in adapter.keys_in_place().items():
        wanted = tuple(weight.shape)[::-1] if turned else tuple(weight.shape)
        if key not in shapes:
            misfits.append(f"{key}: missing; the model's weight has shape {wanted}")
            continue
        used.add(key)
        if shapes[key] != wanted:
            misfits.append(f"{key}: has shape {shapes[key]}, expected {wanted}")
            continue
        array = reader.read(key)
        ready[paths[id(weight)]] = array.T if turned else array
    if not misfits or not strict:
        adapter.values.update(ready)
    return used, misfits


def fingerprint(backbone):
    """A short word for a frozen backbone: of the last block's first matrix.

    None where it is quantised: then nothing can be said.
    """
    last = getattr(backbone, f"block_{backbone.config.num_blocks - 1}")
    matrices = [w for w in last.weights if w.path.endswith("/kernel")]
    if any("int" in str(weight.dtype) for weight in matrices):
        return None
    array = np.ascontiguousarray(ops.convert_to_numpy(matrices[0]))
    return f"{backbone.family.model_type}-{hashlib.sha256(array).hexdigest()[:16]}"
