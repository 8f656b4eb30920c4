"""Which devices a run uses: a `tf.distribute` strategy by name.

Build the task and compile it within `strategy.scope()`; batches hold the rows of all
devices together. The trap: asking for devices starts TensorFlow, so set logical
devices or memory growth before.
"""

import keras

from kerasft._errors import SettingsError
from kerasft._registry import Registry
from kerasft.training.cluster import joining, named_cluster

if keras.backend.backend() == "tensorflow":
    import tensorflow as tf


def strategy(kind: str = "auto", *, split: int | None = None):
    """The strategy to build and train a task in.

    Args:
        kind: "auto": the workers of `TF_CONFIG`, else all TPU cores, else all GPUs
            where there are several, else plain TensorFlow. "none": plain TensorFlow,
            which uses the first GPU or the CPU. "one": the first GPU or the CPU, as a
            strategy. "mirrored": a copy of the task on each GPU, without GPUs on each
            logical CPU. "multi_worker": the same on each of the processes that
            `TF_CONFIG` names. "tpu": all TPU cores by TensorFlow's `TPUStrategy`,
            experimental: batches have one shape there, and every task's step lowers
            to one XLA program, but none has run on a TPU so. On JAX see
            `jax_devices.strategy`, which has "model_parallel", too.
        split: of "model_parallel": devices that share one model; None: all.

    Returns:
        A `tf.distribute.Strategy`, on JAX a `JaxDevices`; its `scope()` may be entered
        in every case.

    Raises:
        UnknownNameError: no such kind.
        SettingsError: the devices are not there; `TF_CONFIG` is no cluster, or names
            several workers where `kind` is for one; TensorFlow has begun to work, so
            that no workers can be joined; Keras runs on another backend.
    """
    if keras.backend.backend() == "jax":
        from kerasft.training import jax_devices

        return jax_devices.strategy(kind, split)
    if kind == "model_parallel" or split is not None:
        raise_no_split(f"strategy('{kind}', split={split})")
    make = STRATEGIES[kind]
    require_tensorflow("kerasft.strategy")
    workers = named_cluster().addresses
    if len(workers) > 1 and kind not in ("auto", "multi_worker"):
        raise SettingsError(
            f"TF_CONFIG names {len(workers)} workers ({', '.join(workers[:4])}), "
            f"and strategy {kind!r} is for one process. Take 'auto' or 'multi_worker', "
            "or unset TF_CONFIG."
        )
    return make()


def is_chief(strategy) -> bool:
    """Whether this process writes files: the only one, or the chief of several."""
    if keras.backend.backend() == "jax":
        from kerasft.training import jax_processes

        return jax_processes.is_first()
    resolver = strategy.cluster_resolver
    if resolver is None or resolver.task_type in (None, "chief"):
        return True
    if "chief" in resolver.cluster_spec().jobs:
        return False
    return not resolver.task_id


def several_workers(strategy) -> bool:
    """Whether other processes train, too."""
    if keras.backend.backend() == "jax":
        from kerasft.training import jax_processes

        return jax_processes.are_several()
    extended = getattr(strategy, "extended", None)  # Of tf.distribute alone.
    return extended is not None and extended._in_multi_worker_mode()


def sum_over_workers(strategy):
    """A function list of numbers -> their sums over all workers; None: there is one.

    All must call it, at the same moment between steps.
    """
    if not several_workers(strategy):
        return None
    if keras.backend.backend() == "jax":
        from kerasft.training import jax_processes

        return jax_processes.summed

    @tf.function  # Eagerly each worker would be warned of the cost.
    def summed(numbers):
        return strategy.reduce("SUM", strategy.run(tf.identity, (numbers,)), axis=None)

    return lambda numbers: summed(tf.constant(numbers, tf.float32)).numpy().tolist()


def wait_for_all(strategy):
    """Wait until every worker has come to this point."""
    summed = sum_over_workers(strategy)
    if summed is not None:
        summed([1.0])


def require_tensorflow(what: str):
    """Refuse to go on where Keras does not run on TensorFlow.

    Raises:
        SettingsError: it runs on another backend.
    """
    backend = keras.backend.backend()
    if backend != "tensorflow":
        raise SettingsError(
            f"{what} works on the TensorFlow backend, but Keras runs on {backend}. "
            "Set KERAS_BACKEND=tensorflow, or do without."
        )


def raise_no_split(what: str):
    """Say that only JAX can do this.

    Raises:
        SettingsError: always.
    """
    raise SettingsError(
        f"{what} splits a model over devices, which needs the JAX backend. Set "
        "KERAS_BACKEND=jax before Keras loads, or take 'auto': a copy on each device."
    )


def _auto():
    if len(named_cluster().addresses) > 1:
        return _multi_worker()
    if tf.config.list_physical_devices("TPU"):
        return _tpu()
    if len(tf.config.list_logical_devices("GPU")) > 1:
        return _mirrored()
    return _none()


def _none():
    return tf.distribute.get_strategy()


def _one():
    return tf.distribute.OneDeviceStrategy(_names("GPU", "CPU")[0])


def _mirrored():
    return tf.distribute.MirroredStrategy(_names("GPU", "CPU"))


def _multi_worker():
    global _workers
    cluster = named_cluster()
    if not cluster.addresses:
        raise SettingsError(
            "strategy is 'multi_worker', but TF_CONFIG names no workers. Start each "
            "process with it, or try it on this machine: kerasft launch --workers 2 -- "
            "finetune ..."
        )
    if _workers is None:  # There can be one a process.
        try:
            with joining(cluster):
                _workers = tf.distribute.MultiWorkerMirroredStrategy()
        except RuntimeError as error:
            raise SettingsError(
                f"The workers cannot be joined: {error} Call kerasft.strategy before "
                "anything else that uses TensorFlow."
            ) from error
    return _workers


_workers = None


def _tpu():
    if not tf.config.list_physical_devices("TPU"):
        raise SettingsError(
            "TensorFlow sees no TPU on this machine. It needs the package "
            "tensorflow-tpu; where there is none for this TensorFlow, use "
            "KERAS_BACKEND=jax, or strategy='auto'."
        )
    resolver = tf.distribute.cluster_resolver.TPUClusterResolver("local")
    tf.config.experimental_connect_to_cluster(resolver)
    tf.tpu.experimental.initialize_tpu_system(resolver)
    return tf.distribute.TPUStrategy(resolver)


STRATEGIES = Registry(
    "strategy",
    auto=_auto,
    none=_none,
    one=_one,
    mirrored=_mirrored,
    multi_worker=_multi_worker,
    tpu=_tpu,
)


def _names(*kinds):
    """Names of all devices of the first kind that there is."""
    found = (tf.config.list_logical_devices(kind) for kind in kinds)
    return [device.name for device in next(filter(None, found))]
