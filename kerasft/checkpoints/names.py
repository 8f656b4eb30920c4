"""Translate weight names and layouts, both ways, by rows of `ours <-> theirs`.

A row names a layer, `("block_{i}/attention/q_proj", "encoder.layer.{i}...query")`;
what its weights are called and how they lie is known here: a dense kernel is stored
transposed, a norm's gamma is called `weight` (in old files `gamma`), an embedding
`weight`. Loading is strict: every misfit is found before the first weight is set, and
all are told in one error.
"""

from dataclasses import dataclass

from kerasft._errors import CheckpointError

# Our weight name: their spellings, the one to write first.
SPELLINGS = {
    "kernel": ("weight",),
    "embeddings": ("weight",),
    "bias": ("bias",),
    "gamma": ("weight", "gamma"),
    "beta": ("bias", "beta"),
    # Of a conditional random field, as pytorch-crf calls them.
    "transitions": ("transitions",),
    "starts": ("start_transitions",),
    "ends": ("end_transitions",),
}
# Tensors that are no weights: constants that some versions saved.
BUFFERS = ("position_ids", "token_type_ids", "attn.bias", "attn.masked_bias")
BUFFERS += ("rotary_emb.inv_freq",)
# GPT-2's modules whose kernels are stored as they are, not transposed.
AS_THEY_ARE = ("c_attn", "c_proj", "c_fc")


@dataclass(frozen=True)
class LoadReport:
    """What a load did: paths of our weights, and keys of the file left unread."""

    loaded: tuple[str, ...]
    fresh: tuple[str, ...]
    ignored: tuple[str, ...]


def expand(rows, num_blocks):
    """Give {our layer: their layer} of `rows`, with `{i}` from 0 to `num_blocks`."""
    layers = {}
    for ours, theirs in rows:
        for i in range(num_blocks if "{i}" in ours else 1):
            layers[ours.format(i=i)] = theirs.format(i=i)
    return layers


def key_of(path, layers):
    """Their key for our weight `path`, as it is written.

    Raises:
        CheckpointError: the weight is in no row, such as an adapter's.
    """
    layer, _, weight = path.rpartition("/")
    if layer not in layers or weight not in SPELLINGS:
        raise CheckpointError(
            f"{path}: not part of a checkpoint of this family. Merge or delete the "
            "adapter first."
        )
    return f"{layers[layer]}.{SPELLINGS[weight][0]}"


def find_key(path, layers, prefix, reader):
    """Their key for our weight `path` in this file, or None where it has none.

    Old spellings count, and `prefix` ("bert.") may be missing.
    """
    layer, _, weight = path.rpartition("/")
    theirs = layers[layer]
    for stem in (theirs, theirs.removeprefix(prefix)):
        for spelling in SPELLINGS[weight]:
            if f"{stem}.{spelling}" in reader:
                return f"{stem}.{spelling}"
    return None


def match(weights, layers, prefix, reader):
    """Find the key of each of our `weights`, {path: variable}, in a file.

    Returns:
        {path: key} of those the file has, {path: key} of those it does not have, and
        a sentence for each that has another shape there.
    """
    found, missing, misshapen = {}, {}, []
    for path, weight in weights.items():
        key = find_key(path, layers, prefix, reader)
        if key is None:
            missing[path] = key_of(path, layers)
            continue
        found[path] = key
        if shape_of(path, key, reader) != tuple(weight.shape):
            needed = _turn(path, key, tuple(weight.shape))
            misshapen.append(
                f"{path}: {key} has shape {reader.shape(key)}, the model needs {needed}"
            )
    return found, missing, misshapen


def shape_of(path, key, reader):
    """Shape of their tensor `key` in our layout."""
    return _turn(path, key, reader.shape(key))


def _is_turned(path, key):
    return path.endswith("/kernel") and key.split(".")[-2] not in AS_THEY_ARE


def _turn(path, key, shape):
    return shape[::-1] if _is_turned(path, key) else shape


def _turn_array(path, key, array):
    return array.T if _is_turned(path, key) else array


def unexpected_keys(layers, prefix, reader, used):
    """Keys not `used` that lie in the same modules as `layers`, buffers aside.

    A thirteenth block of a model of twelve is such; another task's head is not.
    """
    modules = {theirs.removeprefix(prefix).split(".")[0] for theirs in layers.values()}
    return [
        key
        for key in reader.keys()
        if key not in used
        and key.removeprefix(prefix).split(".")[0] in modules
        and not key.endswith(BUFFERS)
    ]


def assign(weights, key_of_path, reader):
    """Fill our `weights`, {path: variable}, one tensor at a time."""
    for path, key in key_of_path.items():
        weights[path].assign(_turn_array(path, key, reader.read(key)))


def named_arrays(weights, layers):
    """Yield (their key, array in their layout) for our `weights`, {path: variable}."""
    for path, weight in weights.items():
        key = key_of(path, layers)
        yield key, _turn_array(path, key, weight.numpy())


def raise_misfits(folder, misfits):
    """Raise one CheckpointError that lists all `misfits`, if there are any."""
    if misfits:
        lines = "\n  ".join(misfits)
        raise CheckpointError(f"{folder}: does not fit the model:\n  {lines}")
