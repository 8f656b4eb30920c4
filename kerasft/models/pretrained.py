"""Load and save a backbone with its head in Hugging Face's names.

The order matters: config, then the file's headers against the config, then memory,
then weights. So a damaged or hostile folder is refused before anything large exists.
"""

import numpy as np

from kerasft._errors import CheckpointError
from kerasft._registry import UnknownNameError
from kerasft.checkpoints import names
from kerasft.checkpoints.folders import member
from kerasft.checkpoints.json_files import read_json, write_json
from kerasft.checkpoints.tensors import write_tensors
from kerasft.models.config import from_json, to_json


def read_config(folder):
    """Read `config.json` of a folder.

    Returns:
        The `Family` and its config.

    Raises:
        CheckpointError: no such file, or not a model of a known family.
    """
    # Here, because the families' files need this one.
    from kerasft.models import family_of

    path = member(folder, "config.json")
    content = read_json(path)
    if not isinstance(content, dict):
        raise CheckpointError(f"{path}: not a JSON object.")
    try:
        family = family_of(content)
    except UnknownNameError as error:
        raise CheckpointError(f"{path}: {error}") from error
    return family, from_json(family, content, path)


def weights_of(layer):
    """Give {path below `layer`: variable} of all weights of a built layer."""
    return {
        weight.path.removeprefix(f"{layer.path}/"): weight for weight in layer.weights
    }


def empty_backbone(family, config, reader):
    """Make a backbone of zeros, once the file is known to hold its sizes.

    Raises:
        CheckpointError: a size in the config is not the one in the file's header.
    """
    names.raise_misfits(reader.folder, list(_size_misfits(family, config, reader)))
    return family.new_backbone(config, initializer="zeros")


def _size_misfits(family, config, reader):
    """Yield a sentence for each size that the file's headers do not show."""
    layers = names.expand(family.rows, config.num_blocks)
    spelling = dict(family.config_rows)
    for field, pattern, axis in family.size_rows:
        expected = getattr(config, field)
        for i in range(config.num_blocks if "{i}" in pattern else 1):
            path = pattern.format(i=i)
            key = names.find_key(path, layers, family.prefix, reader)
            if key is None:
                yield f"{path}: the file has no {names.key_of(path, layers)}"
                continue
            shape = names.shape_of(path, key, reader)
            if len(shape) != 2 or shape[axis] != expected:
                yield (
                    f"config.json says {spelling.get(field, field)} is {expected}, but "
                    f"{key} has shape {reader.shape(key)}"
                )


def load_weights(reader, backbone, head_name=None, head=None, new_layers=()):
    """Fill a backbone, and a head where the file has one for it.

    Args:
        reader: `TensorReader` of the folder.
        backbone: as `empty_backbone` makes it.
        head_name: key of `family.heads`, or None.
        head: the built layer of that head.
        new_layers: layers of the head not to load, such as ("logits",).

    Returns:
        LoadReport; its `fresh` are the head's weights that the file does not have.

    Raises:
        CheckpointError: every misfit of the file, before any weight is set.
    """
    weights = weights_of(backbone)
    keys, misfits = _match_backbone(weights, backbone, reader)
    head_weights, head_keys = {}, {}
    if head is not None:
        head_weights = weights_of(head)
        wanted = {
            path: weight
            for path, weight in head_weights.items()
            if path.rpartition("/")[0] not in new_layers
        }
        head_keys, head_misfits = _match_head(
            wanted, backbone.family, head_name, reader
        )
        misfits += head_misfits
        if backbone.config.tied:
            misfits += _untied(backbone.family, head_name, keys, reader)
    names.raise_misfits(reader.folder, misfits)
    names.assign(weights, keys, reader)
    names.assign(head_weights, head_keys, reader)
    used = {*keys.values(), *head_keys.values()}
    return names.LoadReport(
        loaded=(*keys, *head_keys),
        fresh=tuple(path for path in head_weights if path not in head_keys),
        ignored=tuple(key for key in reader.keys() if key not in used),
    )


def _match_backbone(weights, backbone, reader):
    """Find a backbone's keys, all of them and no others.

    Returns:
        {our path: their key}, and a sentence for each misfit.
    """
    prefix = backbone.family.prefix
    layers = names.expand(backbone.family.rows, backbone.config.num_blocks)
    found, missing, misfits = names.match(weights, layers, prefix, reader)
    misfits += [f"{path}: the file has no {key}" for path, key in missing.items()]
    misfits += [
        f"{key}: the model has no place for it"
        for key in names.unexpected_keys(layers, prefix, reader, found.values())
    ]
    return found, misfits


def _match_head(weights, family, head_name, reader):
    """Find a head's keys: all of the head, or none of it.

    A layer under the backbone's prefix (BERT's pooler), or in `Head.pretrained`, was
    pretrained with the backbone, so it may be there when the rest is not; not the other
    way round.

    Returns:
        {our path: their key}, and a sentence for each misfit.
    """
    prefix = family.prefix
    head = family.heads[head_name]
    layers = dict(head.rows)
    found, missing, misfits = names.match(weights, layers, prefix, reader)
    found_layers = {path.rpartition("/")[0] for path in found}
    has_own = any(
        layer not in head.pretrained and not layers[layer].startswith(prefix)
        for layer in found_layers
    )
    misfits += [
        f"{path}: the file has no {key}, though it has other weights of this head"
        for path, key in missing.items()
        if has_own or path.rpartition("/")[0] in found_layers
    ]
    if misfits:
        misfits.append(
            "(a head of other labels or another task: ask for the labels the "
            "checkpoint has, or for a new head)"
        )
    return found, misfits


def _untied(family, head_name, keys, reader):
    """Yield a sentence if the file's decoder is another matrix than its embedding."""
    theirs = family.heads[head_name].tied
    table = keys.get("embedding/token_embedding/embeddings")
    if theirs is None or theirs not in reader or table is None:
        return
    same_shape = reader.shape(theirs) == reader.shape(table)
    if not same_shape or not np.array_equal(reader.read(theirs), reader.read(table)):
        yield (
            f"{theirs} is another matrix than {table} (tie_word_embeddings is false); "
            "only models that share one matrix are supported"
        )


def named_tensors(backbone, head_name=None, head=None):
    """Yield (key, array) as `transformers` names them, of a backbone and its head.

    Without a head the backbone's prefix is left out, as `BertModel` does.

    Raises:
        CheckpointError: a weight is no part of the family, such as an adapter's.
    """
    family = backbone.family
    layers = names.expand(family.rows, backbone.config.num_blocks)
    tensors = names.named_arrays(weights_of(backbone), layers)
    if head is None:
        for key, array in tensors:
            yield key.removeprefix(family.prefix), array
    else:
        yield from tensors
        yield from names.named_arrays(
            weights_of(head), dict(family.heads[head_name].rows)
        )


def write_model(folder, backbone, config=None, head_name=None, head=None):
    """Write `config.json` and the weights into an existing folder.

    Args:
        folder: where to; give one of `atomic_folder`.
        backbone: the `Backbone`.
        config: the backbone's, with labels and problem type; None is as it is.
        head_name: key of `family.heads`, or None for a plain backbone.
        head: the built layer of that head.
    """
    family = backbone.family
    end = "Model" if head is None else family.heads[head_name].architecture
    content = to_json(family, config or backbone.config, end)
    write_json(member(folder, "config.json"), content)
    write_tensors(folder, named_tensors(backbone, head_name, head))
