"""Several processes that train one model on JAX.

In: `TF_CONFIG` as `kerasft launch` and clusters give it, or Keras' own variables
`KERAS_DISTRIBUTION_...`. Out: JAX sees the devices of all. The trap: they must be
joined before JAX is asked for anything.
"""

import os

import jax
import keras
import numpy as np

from kerasft._errors import SettingsError
from kerasft.training.cluster import joining, named_cluster

ADDRESSES = "KERAS_DISTRIBUTION_JOB_ADDRESSES"


def join():
    """Join the processes that the environment names, if it does and they are not.

    Raises:
        SettingsError: JAX has begun to work; `TF_CONFIG` does not name workers.
    """
    place = _named()
    if place is None or jax.distributed.is_initialized():
        return
    try:
        with joining(named_cluster()):
            keras.distribution.initialize(*place)
    except RuntimeError as error:
        raise SettingsError(
            f"The processes cannot be joined: {error} Call kerasft.strategy(...) "
            "before anything else is done with JAX, models included."
        ) from error


def raise_if_named(kind: str):
    """Refuse to work alone where the environment names other processes.

    Raises:
        SettingsError: it does.
    """
    if _named() is not None or are_several():
        raise SettingsError(
            f"TF_CONFIG or {ADDRESSES} names several processes, and strategy {kind!r} "
            "is for one. Take 'auto' or 'multi_worker', or unset it."
        )


def is_first() -> bool:
    """Whether this process writes what all have made."""
    return jax.process_index() == 0


def are_several() -> bool:
    """Whether other processes train, too."""
    return jax.process_count() > 1


def summed(numbers) -> list:
    """Sums of some numbers over all processes, which must all ask for them."""
    from jax.experimental import multihost_utils

    every = multihost_utils.process_allgather(np.asarray(numbers, "float32"))
    return every.sum(0).tolist()


def told() -> str:
    """Of how many processes there are, where there are several."""
    return f", in {jax.process_count()} processes" if are_several() else ""


def _named():
    """What joins the processes of the environment; None where it names no others."""
    if os.environ.get(ADDRESSES):
        return ()  # Keras reads it, and its like, itself.
    cluster = named_cluster()
    count = len(cluster.addresses)
    if count < 2:
        return None
    return ",".join(cluster.addresses), count, cluster.number
