"""Tensors in an adapter's files that are the frozen model's own.

peft writes the matrix below an adapted `lm_head` or embedding, the `adapters` library
the table of a tied head. They are right where the model here has the same numbers.
"""

import numpy as np
from keras import ops

from kerasft.checkpoints.names import AS_THEY_ARE

START, BELOW, END = "base_model.model.", ".base_layer", ".weight"


def misfit_of(adapter, reader, key):
    """A sentence about a tensor that the adapter has no place for; None: it is a copy.

    Args:
        adapter: the `Adapter`.
        reader: of its file.
        key: of the tensor.
    """
    own = _frozen(adapter.places, key)
    if own is None:
        return f"{key}: the adapter has no place for it"
    if reader.shape(key) == own.shape and np.array_equal(reader.read(key), own):
        return None
    return f"{key}: another matrix than this model's, so the adapter is another base's"


def _frozen(places, key):
    """The model's matrix that a key names, as it stands in the file, or None."""
    head = places.family.heads.get(places.head_name)
    if head is not None and key == head.tied and places.backbone.config.tied:
        return ops.convert_to_numpy(places.backbone.token_table)
    name = key.removeprefix(START).removesuffix(END).removesuffix(BELOW)
    for place in places.all:
        if place.theirs != name or not key.endswith(END):
            continue
        if hasattr(place.layer, "embeddings"):
            return ops.convert_to_numpy(place.layer.embeddings)
        kernel = getattr(place.layer, "kernel", None)
        if kernel is None:
            return None
        kernel = ops.convert_to_numpy(kernel)
        return kernel if name.rpartition(".")[2] in AS_THEY_ARE else kernel.T
    return None
