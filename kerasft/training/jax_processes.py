"""Several processes that train one model on JAX.

In: `TF_CONFIG` as `kerasft launch` and clusters give it, or Keras' own variables
`KERAS_DISTRIBUTION_...`. Out: JAX sees the devices of all. The trap: they must be
joined before JAX is asked for anything.
"""

import json
import os

import jax
import keras

from kerasft._errors import SettingsError

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


def wait_for_all():
    """Wait until every process has come to this point."""
    if are_several():
        from jax.experimental import multihost_utils

        multihost_utils.sync_global_devices("kerasft")


def told() -> str:
    """Of how many processes there are, where there are several."""
    return f", in {jax.process_count()} processes" if are_several() else ""


def _named():
    """What joins the processes of the environment; None where it names no others."""
    if os.environ.get(ADDRESSES):
        return ()  # Keras reads it, and its like, itself.
    told = os.environ.get("TF_CONFIG")
    place = _of_tf_config(told) if told else None
    return None if place is None or place[1] == 1 else place


def _of_tf_config(told):
    """Addresses, how many processes, and which of them this is."""
    try:
        content = json.loads(told)
        jobs, task = content["cluster"], content["task"]
        everyone = [(job, i) for job in sorted(jobs) for i in range(len(jobs[job]))]
        number = everyone.index((task["type"], int(task["index"])))
        addresses = [jobs[job][i] for job, i in everyone]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise SettingsError(
            f"TF_CONFIG is {told!r}; it must hold a cluster of workers and a task of "
            "it, as `kerasft launch` writes it."
        ) from error
    return ",".join(addresses), len(addresses), number
