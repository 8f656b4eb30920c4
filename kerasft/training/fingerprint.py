"""What a fit is made of, as names and values, so that a resumed one can be compared.

Data are told by the SHA-256 of their arrays, settings by their values.
"""

import hashlib
import importlib.metadata
import platform
from collections.abc import Mapping
from dataclasses import fields, is_dataclass

import keras
import numpy as np

from kerasft.tasks.step import batches_of

VERSIONS = "versions"
PLAN = ("batch_size", "shuffle", "group_by_length", "seed", "tokens_per_batch")


def fingerprint(model, data, epochs: int) -> dict[str, dict]:
    """Group ("data", "settings", "versions") -> name -> value.

    Args:
        model: compiled.
        data: the training data of the fit.
        epochs: of the fit.
    """
    return {
        "data": _of_data(data),
        "settings": _of_model(model) | {"epochs": epochs},
        VERSIONS: {
            "kerasft": importlib.metadata.version("kerasft"),
            "keras": keras.__version__,
            keras.backend.backend(): importlib.metadata.version(
                keras.backend.backend()
            ),
            "python": platform.python_version(),
            "devices": model.distribute_strategy.num_replicas_in_sync,
        },
    }


def differences(then: dict, now: dict) -> list[tuple[str, str, str, str]]:
    """(group, name, value then, value now) of all that differs."""
    found = []
    for group in now:
        old, new = then.get(group, {}), now[group]
        for name in dict.fromkeys([*old, *new]):
            pair = (_told(old.get(name, "-")), _told(new.get(name, "-")))
            if pair[0] != pair[1]:
                found.append((group, name, *pair))
    return found


def _told(value):
    """A value for people; hashes are cut."""
    text = str(value)
    return f"{text[:12]}..." if len(text) == 64 else text


def _of_data(data):
    batches = batches_of(data)
    if batches is None:
        spec = getattr(data, "element_spec", type(data).__name__)
        steps = getattr(data, "cardinality", lambda: -1)()
        return {"kind": str(spec), "batches": int(steps)}
    told = {f"plan.{name}": getattr(batches.plan, name) for name in PLAN}
    told |= {"examples": len(batches.examples), "batches": len(batches)}
    named = {"examples": batches.examples, "extras": batches.extras}
    named |= {"labels": batches.labels, "weights": batches.weights}
    for name, value in named.items():
        told |= {f"{name}.{k}".strip("."): v for k, v in _hashes(value)}
    batches.examples.release()
    # What makes the batches may hold settings of its own, such as the masked share.
    digest = hashlib.sha256()
    for array in keras.tree.flatten(batches.first()):
        digest.update(np.ascontiguousarray(array))
    return told | {"first batch": digest.hexdigest()}


def _hashes(value):
    """Yield (name, SHA-256) of the arrays in a value."""
    if isinstance(value, np.ndarray):
        digest = hashlib.sha256(np.ascontiguousarray(value)).hexdigest()
        yield "", digest
    elif isinstance(value, Mapping):
        for name, inner in value.items():
            yield from ((f"{name}.{k}".strip("."), h) for k, h in _hashes(inner))
    elif isinstance(value, tuple | list):
        yield from _hashes(dict(enumerate(value)))
    elif is_dataclass(value):
        yield from _hashes({f.name: getattr(value, f.name) for f in fields(value)})


def _of_model(model):
    optimizer = model.optimizer
    inner = getattr(optimizer, "inner_optimizer", optimizer)
    told = {"optimizer": type(inner).__name__}
    told |= {k: v for k, v in _flat(_config(inner)) if k != "name"}
    told["loss"] = type(getattr(model, "item_loss", None) or model.loss).__name__
    loss = getattr(model, "item_loss", None)
    if hasattr(loss, "get_config"):
        told |= {f"loss.{k}": v for k, v in _flat(loss.get_config()) if k != "name"}
    told["precision"] = model.dtype_policy.name
    told["micro_batches"] = getattr(model, "micro_batches", 1)
    told["steps_per_execution"] = int(model.steps_per_execution)
    if getattr(model, "active_adapter", None) is not None:
        told["adapter"] = model.adapter_summary
    return told


def _config(optimizer):
    config = optimizer.get_config()
    rate = config.get("learning_rate")
    if isinstance(rate, Mapping):
        config["learning_rate"] = rate.get("config", {})
    return config


def _flat(config, prefix=""):
    """Yield (dotted name, value) of a nested config."""
    for name, value in config.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{name}.")
        elif isinstance(value, int | float | str | bool | None):
            yield f"{prefix}{name}", value
