"""Which devices a run uses on JAX: a `keras.distribution` by name.

Build the task within `strategy.scope()`, or just after `strategy()`: the choice stays
for the rest of the program. The trap: a task that was built before it lies on one
device, and cannot be trained on several.
"""

import re
from contextlib import contextmanager

import jax
import keras

from kerasft._errors import SettingsError
from kerasft._registry import Registry
from kerasft.training import jax_processes

# Which axis of a weight is split over the devices, by the end of its path. The layers
# that read the hidden states are split by what they give, those that write them by what
# they take: within attention and MLP each device works on its own share.
COLUMNS = "q_proj|k_proj|v_proj|qkv_proj|up_proj|gate_proj|gate_up_proj"
ROWS = "o_proj|down_proj"
SPLIT = (
    (rf"(.*/)?({COLUMNS})/kernel", 1),
    (rf"(.*/)?({COLUMNS})/bias", 0),
    (rf"(.*/)?({ROWS})/kernel", 0),
    (r"(.*/)?(token|position|segment)_embedding/embeddings", 1),
)


class JaxDevices:
    """The devices that tasks are built on from now on.

    Args:
        distribution: a `keras.distribution.Distribution`; None: JAX's first device.
        reason: what was picked, and why, in a sentence.
    """

    cluster_resolver = None

    def __init__(self, distribution, reason):
        self.distribution = distribution
        self.reason = reason

    def __repr__(self):
        return f"<JaxDevices: {self.reason}>"

    @property
    def num_replicas_in_sync(self) -> int:
        """How many parts the rows of a batch are split into."""
        found = self.distribution
        return 1 if found is None else found.num_model_replicas

    @contextmanager
    def scope(self):
        """Build the task in here; it stays on these devices afterwards."""
        keras.distribution.set_distribution(self.distribution)
        yield self


class SplitModel(keras.distribution.ModelParallel):
    """Weights split over the devices of the mesh's axis "model", by `SPLIT`.

    What does not divide, or is not named there (norms, heads, small parts of PEFT), is
    whole on each device.

    Args:
        mesh: a `DeviceMesh` with the axes "batch" and "model".
    """

    def __init__(self, mesh):
        layouts = keras.distribution.LayoutMap(mesh)
        super().__init__(
            layout_map=layouts, batch_dim_name="batch", auto_shard_dataset=False
        )

    def get_variable_layout(self, variable):
        """Where the parts of a variable lie."""
        if getattr(variable, "_layout", None) is not None:
            return variable._layout
        axes = [None] * len(variable.shape)
        axis = split_axis(variable.path)
        parts = self.device_mesh.shape[1]
        if axis is not None and variable.shape[axis] % parts == 0:
            axes[axis] = "model"
        return keras.distribution.TensorLayout(axes, self.device_mesh)


def split_axis(path: str) -> int | None:
    """Which axis of the weight with this path is split; None: none is."""
    return next((axis for end, axis in SPLIT if re.fullmatch(end, path)), None)


def strategy(kind: str = "auto", split: int | None = None) -> JaxDevices:
    """The devices to build and train a task on, in force from now on.

    Args:
        kind: "auto", "mirrored": a copy of the task on each device, the rows of a batch
            shared out; with one device as "one". "none", "one": the first device.
            "multi_worker": as "mirrored", on the devices of all processes that
            `TF_CONFIG` or `KERAS_DISTRIBUTION_...` name; so does "auto" where one does.
            "tpu": as "auto", and the devices must be TPUs. "model_parallel": the
            weights themselves are split, for models larger than a device.
        split: of "model_parallel": over how many devices; None: all. Several such
            groups of devices share the rows of a batch.

    Raises:
        UnknownNameError: no such kind.
        SettingsError: the devices are not there; `split` does not divide them; there
            are no other processes, or some and `kind` is for one, or JAX has begun to
            work before they were joined.
    """
    make = STRATEGIES[kind]
    if kind in ("auto", "multi_worker", "tpu"):
        jax_processes.join()
    else:
        jax_processes.raise_if_named(kind)
    if split is not None and kind != "model_parallel":
        raise SettingsError(f"split is of strategy('model_parallel'), not of '{kind}'.")
    found = make(split) if kind == "model_parallel" else make()
    keras.distribution.set_distribution(found.distribution)
    return found


def peaks() -> list[int]:
    """The most bytes that each device of this process has held; a CPU tells none."""
    told = (one.memory_stats() for one in jax.local_devices())
    return [one["peak_bytes_in_use"] for one in told if one]


def _auto():
    devices = keras.distribution.list_devices()
    if len(devices) == 1:
        return _one(f"JAX sees {_told(devices)}")
    return _mirrored()


def _mirrored():
    devices = keras.distribution.list_devices()
    if len(devices) == 1:
        return _one(f"there is nothing to share with: JAX sees {_told(devices)}")
    reason = f"JAX sees {_told(devices)}: each has the whole task and its share of rows"
    shared = keras.distribution.DataParallel(devices=devices, auto_shard_dataset=False)
    return JaxDevices(shared, reason + jax_processes.told())


def _multi_worker():
    if jax.process_count() == 1:
        raise SettingsError(
            "strategy('multi_worker') finds no other processes: TF_CONFIG and "
            f"{jax_processes.ADDRESSES} name none. Start them by `kerasft launch`, or "
            "take 'auto'."
        )
    return _mirrored()


def _one(why="one device was asked for"):
    return JaxDevices(None, f"{_first()}, for {why}")


def _tpu():
    if jax.default_backend() != "tpu":
        raise SettingsError(
            f"JAX sees no TPU on this machine: it runs on {jax.default_backend()}. It "
            "needs jax[tpu]; on Colab and Kaggle choose a TPU as accelerator. Or take "
            "strategy('auto')."
        )
    return _auto()


def _model_parallel(split):
    devices = keras.distribution.list_devices()
    split = len(devices) if split is None else split
    if split < 1 or len(devices) % split:
        raise SettingsError(
            f"split is {split}, but JAX sees {_told(devices)}, which it must divide."
        )
    mesh = keras.distribution.DeviceMesh(
        (len(devices) // split, split), ["batch", "model"], devices
    )
    reason = f"JAX sees {_told(devices)}: each {split} of them share one task's weights"
    return JaxDevices(SplitModel(mesh), reason)


def _told(devices):
    kind = jax.devices()[0].device_kind
    return f"{len(devices)} x {kind}" if len(devices) > 1 else f"one {kind}"


def _first():
    return keras.distribution.list_devices()[0]


STRATEGIES = Registry(
    "strategy",
    auto=_auto,
    none=_one,
    one=_one,
    mirrored=_mirrored,
    multi_worker=_multi_worker,
    tpu=_tpu,
    model_parallel=_model_parallel,
)
