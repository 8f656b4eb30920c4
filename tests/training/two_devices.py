"""A program: train on one device or several, save what came of it.

    two_devices.py CHECKPOINTS KIND OUT.npz CASE...

KIND is a strategy: "mirrored" on two logical CPUs, "multi_worker" as one of two
processes. CHECKPOINTS holds `bert` and `gpt2`, without dropout, whose masks differ.
"""

import sys
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tiny_tasks import LABELS, TAGS, tiny_documents, tiny_rows, tiny_tagged

import kerasft as kft
from kerasft.tasks import TASKS
from kerasft.training.callbacks import StopOnNaN
from kerasft.training.devices import is_chief

ROWS = 33  # In batches of 16 the last one leaves a replica without any row.
EPOCHS = 7  # 21 steps
# A large epsilon: where the true gradient is 0, Adam would make steps of rounding.
CLIPPED = {"clip_norm": 0.1, "epsilon": 1e-3}
LORA = kft.LoRA(rank=2, targets="all-linear")
WEIGHED = dict(zip(LABELS, (0.2, 1.0, 5.0), strict=True))


def sgd(**more):
    return {"optimizer": keras.optimizers.SGD(0.05)} | more


def adamw(**more):
    return {"optimizer": kft.AdamW(1e-2, **CLIPPED)} | more


# Name: the task, its adapter, and a function that makes what `compile` is given.
CASES = {
    "sgd": ("text_classifier", None, sgd),
    "clipped": ("text_classifier", None, adamw),
    "micro_batches": (
        "text_classifier",
        None,
        lambda: adamw(micro_batches=2, class_weight=WEIGHED),
    ),
    "loss_sum": ("pretraining", None, lambda: adamw(micro_batches=2)),
    "lora": ("text_classifier", LORA, adamw),
    "adalora": ("text_classifier", kft.AdaLoRA(init_rank=4, target_rank=2), adamw),
    "steps": ("text_classifier", None, lambda: adamw(steps_per_execution=3)),
    "xla": ("text_classifier", None, lambda: adamw(jit_compile=True)),
    "static": ("text_classifier", None, lambda: adamw(jit_compile=True)),
    "tags": ("token_classifier", None, sgd),
    "tags_lora": ("token_classifier", LORA, lambda: sgd(micro_batches=2)),
    "causal_lm": ("causal_lm", None, sgd),
    "causal_lm_lora": ("causal_lm", LORA, lambda: sgd(micro_batches=2)),
}
OPTIONS = {"text_classifier": {"labels": LABELS}, "token_classifier": {"labels": TAGS}}
ROWS_OF = {"pretraining": tiny_documents, "token_classifier": tiny_tagged}


def number(variable):
    return float(
        keras.ops.convert_to_numpy(variable)
    )  # float() fails on a mirrored one.


def flat(variables):
    return np.concatenate([keras.ops.convert_to_numpy(v).ravel() for v in variables])


def train(folder, case):
    keras.utils.set_random_seed(0)
    name, adapter, options = CASES[case]
    checkpoint = folder / ("gpt2" if name == "causal_lm" else "bert")
    task = TASKS[name].from_pretrained(checkpoint, **OPTIONS.get(name, {}))
    if adapter is not None:
        task.add_adapter(adapter)
    task.compile(**options())
    start = flat(task.trainable_weights)
    rows = ROWS_OF.get(name, tiny_rows)(ROWS)
    shapes = {"static_shapes": True} if case == "static" else {"max_shapes": 1}
    batches = task.dataset(rows, 16, training=True, seed=1, **shapes)
    valid = task.dataset(tiny_rows(21), max_shapes=1) if case == "sgd" else None
    history = task.fit(batches, validation_data=valid, epochs=EPOCHS, verbose=0).history
    return task, flat(task.trainable_weights) - start, history


def overflow(checkpoint, strategy, bad):
    """After an infinite gradient on replica `bad`: a weight moved; new loss scale."""
    task = kft.TextClassifier.from_pretrained(checkpoint, labels=LABELS)
    task.compile(optimizer=keras.optimizers.LossScaleOptimizer(kft.AdamW(1e-2)))
    task.optimizer.build(task.trainable_variables)
    before = keras.ops.convert_to_numpy(task.trainable_weights[0])
    scale = number(task.optimizer.dynamic_scale)

    @tf.function
    def step():
        context = tf.distribute.get_replica_context()
        value = tf.where(tf.equal(context.replica_id_in_sync_group, bad), np.inf, 1.0)
        gradients = [
            tf.fill(v.shape, tf.cast(value, v.dtype)) for v in task.trainable_variables
        ]
        gradients = task.sum_over_replicas(context, gradients)
        task.optimizer.apply(gradients, task.trainable_variables)

    strategy.run(step)
    moved = not np.array_equal(
        before, keras.ops.convert_to_numpy(task.trainable_weights[0])
    )
    return moved, number(task.optimizer.dynamic_scale) / scale


def with_callbacks(checkpoint, log_dir):
    """Train with every callback; the tags written for TensorBoard."""
    task = kft.TextClassifier.from_pretrained(checkpoint, labels=LABELS)
    task.compile(optimizer=kft.adamw(1e-3, total_steps=3))
    rows = tiny_rows(ROWS)
    callbacks = [
        StopOnNaN(every=1),
        kft.BestCheckpoint(log_dir / "best", "loss", restore=True),
        kft.TensorBoard(log_dir, update_freq=1, validation=rows),
    ]
    task.fit(
        task.dataset(rows, 16, training=True, max_shapes=1),
        callbacks=callbacks,
        verbose=0,
    )
    points = EventAccumulator(str(log_dir / "train")).Reload().Tags()["tensors"]
    return sorted(points)


def main(folder, kind, out, *cases):
    if kind == "mirrored":
        cpu = tf.config.list_physical_devices("CPU")[0]
        tf.config.set_logical_device_configuration(
            cpu, [tf.config.LogicalDeviceConfiguration()] * 2
        )
    found = {}
    folder, bert = Path(folder), Path(folder) / "bert"
    strategy = kft.strategy(kind)
    with strategy.scope():
        for case in cases:
            task, change, history = train(folder, case)
            found[f"{case}/change"] = change
            found[f"{case}/history"] = [history[name] for name in sorted(history)]
            if hasattr(task.optimizer, "gradient_norm"):
                found[f"{case}/norm"] = number(task.optimizer.gradient_norm)
            if case == "sgd":
                found["predicted"] = task.predict_rows(tiny_rows(21), 8)
                found["outputs"] = task.predict_on_batch(
                    next(iter(task.dataset(tiny_rows(5))))[0]
                )
        found["tags"] = with_callbacks(bert, Path(out).parent / f"logs-{kind}")
        if kind != "multi_worker":
            for bad in (0, 1, -1):
                told = overflow(bert, strategy, bad)
                found[f"overflow/{bad}"] = np.array(told, float)
    if is_chief(strategy):
        np.savez(out, replicas=strategy.num_replicas_in_sync, **found)


if __name__ == "__main__":
    main(*sys.argv[1:])
