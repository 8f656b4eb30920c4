"""Tensors that can be made again on the way back, from what is kept anyway.

What a layer norm gives is `unit * gamma + beta`, and its own gradient keeps the unit. A
layer that needs its input on the way back, as LoRA's A does, can have it made again and
need not keep it. How, is noted on the tensor: a graph's tensor is a Python object that
goes from layer to layer. The trap: what changes a tensor loses the note, so `changed`
passes it on. On TensorFlow alone.

Source: Chen et al. 2016, "Training Deep Nets with Sublinear Memory Cost"
(arXiv:1604.06174), section 4.1, of cheap operations.
"""

import keras
from keras import ops

NOTE = "_kerasft_remade"


def can_be_remade(tensor, make):
    """Note how a tensor is made again: `make(after)`, once the tensor `after` is there.

    Returns:
        The tensor.
    """
    if keras.backend.backend() == "tensorflow":
        setattr(tensor, NOTE, make)
    return tensor


def changed(tensor, change):
    """`change(tensor)`, which can be made again if the tensor can.

    Args:
        tensor: any.
        change: a function of a tensor that gives the same each time.
    """
    make, result = getattr(tensor, NOTE, None), change(tensor)
    if make is None:
        return result
    return can_be_remade(result, lambda after: change(make(after)))


def remade(tensor, after):
    """The tensor, made again if it can be, and not before `after` is there."""
    make = getattr(tensor, NOTE, None)
    return tensor if make is None else make(after)


def not_before(tensor, after):
    """The tensor as it is; what is made of it is not made before `after` is there.

    Without this the graph would see that it has made the same before, and keep it.
    """
    first = ops.sum(ops.reshape(after, (-1,))[:1])
    nothing = ops.minimum(ops.absolute(first), 0.0)
    return tensor + ops.cast(nothing, tensor.dtype)
