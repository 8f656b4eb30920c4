"""All that a running fit consists of: taken out as arrays and JSON, and put back.

Weights, dropout and other seeds, metrics, the optimizer's variables (the schedule's
position, accumulated gradients and loss scale among them), the other callbacks' own
state, and the random numbers of Python and numpy. Frozen weights are left out: they are
those of the checkpoint that the model was made from, and only compared.

The trap: metrics of several processes are summed when read, so all of them must read.
"""

import copy
import hashlib
import random

import keras
import numpy as np

from kerasft._errors import CheckpointError
from kerasft.data.pipeline import stand_in
from kerasft.tasks.step import batches_of
from kerasft.training.plain import packed, plain_parts, unpacked

SKIPPED = (keras.callbacks.ProgbarLogger,)
OF_KERAS = ("_model", "params", "validation_data")


def make_variables(model, data):
    """Make what Keras makes in the first step only: metrics and optimizer variables.

    Args:
        model: compiled.
        data: a `tf.data.Dataset`; of other data the metrics are left. (On JAX Keras
            has made them when the fit begins.)
    """
    if hasattr(data, "element_spec") and hasattr(model, "make_metrics"):
        batches = batches_of(data)
        # Not a batch of the data: a shuffled dataset would be a pass further on.
        first = stand_in(data.element_spec) if batches is None else batches.first()
        model.make_metrics(first)
    if not model.optimizer.built:
        model.optimizer.build(model.trainable_variables)


class FitState:
    """What there is to keep of one fit.

    Args:
        model: compiled, its optimizer built.
        callbacks: the others of the fit.
    """

    def __init__(self, model, callbacks):
        self.model = model
        self.callbacks = [one for one in callbacks if not isinstance(one, SKIPPED)]
        self.begun = [_parts(one) for one in self.callbacks]
        self.frozen = _digest(_frozen(model))

    def is_finite(self) -> bool:
        """Whether the epoch's loss is still a number."""
        return bool(np.isfinite(_array(self.model._loss_tracker.total)).all())

    def metrics(self):
        """Name -> array of the metrics now."""
        return {k: _array(v) for k, v in self._variables() if k.startswith("metrics/")}

    def sync(self):
        """Let the variables hold what they stand for."""
        sync = getattr(self.model, "sync_variables", None)
        if sync is not None:
            sync()

    def taken(self, metrics=None):
        """The state now: arrays [(name, numpy array)], JSON.

        Args:
            metrics: those that count, if it is not those of this moment.
        """
        metrics = metrics or {}
        arrays = [
            (name, metrics[name] if name in metrics else _array(variable))
            for name, variable in self._variables()
        ]
        loose = []
        state = {
            "callbacks": [
                [_name(one), packed(self._changed(one, begun), loose)]
                for one, begun in zip(self.callbacks, self.begun, strict=True)
            ],
            "python_random": packed(random.getstate(), loose),
            "numpy_random": packed(np.random.get_state(), loose),
            "frozen": self.frozen,
        }
        arrays += [(f"loose/{i}", array) for i, array in enumerate(loose)]
        return arrays, state

    def put_back(self, snapshot):
        """Set everything to what a snapshot holds; see `put_into_callbacks`, too.

        Raises:
            CheckpointError: the model has other variables, all of them listed, or was
                made from another checkpoint; nothing has been set then.
        """
        arrays = dict(snapshot.arrays())
        variables = dict(self._variables())
        misfits = _misfits(variables, arrays)
        if snapshot.state["frozen"] != self.frozen:
            misfits.append("the frozen weights are of another checkpoint")
        if misfits:
            lines = "\n  ".join(misfits[:20])
            raise CheckpointError(
                f"{snapshot.path}: is of another model ({len(misfits)} misfits):\n  "
                f"{lines}\nBegin anew in another folder, or make the model as it was."
            )
        self._metrics = []
        for name, variable in variables.items():
            variable.assign(arrays[name])
            if name.startswith("metrics/"):
                self._metrics.append((variable, arrays[name]))
        self._loose = [arrays[f"loose/{i}"] for i in range(_count(arrays))]
        self._state = snapshot.state
        random.setstate(unpacked(self._state["python_random"], self._loose))
        np.random.set_state(unpacked(self._state["numpy_random"], self._loose))

    def put_back_metrics(self):
        """Set the metrics again: Keras empties them at the start of an epoch."""
        for variable, array in self._metrics:
            variable.assign(array)

    def put_into_callbacks(self):
        """Give the callbacks their state; those that were not there begin anew."""
        kept = [list(pair) for pair in self._state["callbacks"]]
        for one in self.callbacks:
            found = next((pair for pair in kept if pair[0] == _name(one)), None)
            if found is None:
                continue
            kept.remove(found)
            parts = unpacked(found[1], self._loose)
            if hasattr(one, "resume_from"):
                one.resume_from(parts)
            else:
                vars(one).update(parts)

    def _variables(self):
        """Yield (name, variable) of all that changes; names are in a fixed order."""
        frozen = {id(v) for v in _frozen(self.model)}
        groups = {
            "metrics": self.model.metrics_variables,
            "optimizer": self.model.optimizer.variables,
            "model": self.model.variables,
        }
        seen = set(frozen)
        for group, variables in groups.items():
            new = [v for v in variables if id(v) not in seen]
            seen.update(map(id, new))
            yield from ((f"{group}/{i:05d}", v) for i, v in enumerate(new))

    def _changed(self, callback, begun):
        """What a callback's state is, beside how it was made."""
        if hasattr(callback, "resume_state"):
            return callback.resume_state()
        now = _parts(callback)
        return {
            name: value
            for name, value in now.items()
            if name not in begun or not _same(value, begun[name])
        }


def _parts(callback):
    """A callback's attributes that are plain data, as they are now."""
    parts = plain_parts(callback)
    return copy.deepcopy({k: v for k, v in parts.items() if k not in OF_KERAS})


def _array(variable):
    return np.asarray(keras.ops.convert_to_numpy(variable))


def _same(left, right):
    arrays = [], []
    same = packed(left, arrays[0]) == packed(right, arrays[1])
    pairs = zip(*arrays, strict=False)
    return same and all(np.array_equal(*pair, equal_nan=True) for pair in pairs)


def _name(callback):
    return type(callback).__qualname__


def _frozen(model):
    """Weights that were made to be trained and are not."""
    for layer in model._flatten_layers():
        for variable in layer._trainable_variables:
            if not variable.trainable:
                yield variable


def _digest(variables):
    """SHA-256 of the values, hex; of nothing an empty string."""
    digest, count = hashlib.sha256(), 0
    for variable in variables:
        digest.update(np.ascontiguousarray(keras.ops.convert_to_numpy(variable)))
        count += 1
    return digest.hexdigest() if count else ""


def _count(arrays):
    return sum(name.startswith("loose/") for name in arrays)


def _misfits(variables, arrays):
    """Sentences on variables and arrays that do not go together."""
    kept = {name for name in arrays if not name.startswith("loose/")}
    lost = sorted(kept - variables.keys())
    lost = [f"{n} is not in the model" for n in lost if not n.startswith("metrics/")]
    for name, variable in variables.items():
        told = f"{variable.path} {tuple(variable.shape)} {variable.dtype}"
        if name not in arrays:
            lost.append(f"{told} is not in the snapshot")
        elif arrays[name].shape != tuple(variable.shape):
            lost.append(f"{told} has shape {arrays[name].shape} in the snapshot")
    return lost
