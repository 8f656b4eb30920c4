"""What the tests of the JAX route train, on either backend."""

import keras
import numpy as np
from tiny_tasks import (
    LABELS,
    TAGS,
    save_tiny_bert,
    tiny_documents,
    tiny_pairs,
    tiny_rows,
    tiny_tagged,
)

import kerasft as kft
from kerasft.tasks import TASKS

STEPS = 20
# Which curves and cases are quick, and which are for a slow test.
CURVES = {
    "quick": [
        ("text_classifier", None),
        ("token_classifier", "lora"),
        ("causal_lm", None),
    ],
    "slow": [
        ("text_classifier", "lora"),
        ("token_classifier", None),
        ("causal_lm", "lora"),
    ],
}
DEVICES = {
    "quick": {
        "none": ("sgd", "micro_batches", "ranking", "causal_lm"),
        "mirrored": ("sgd", "micro_batches", "ranking"),
        "model_parallel": ("sgd", "causal_lm"),
    },
    "slow": {
        "none": ("sgd", "micro_batches", "loss_sum", "adalora", "causal_lm"),
        "mirrored": ("loss_sum", "adalora", "causal_lm"),
        "model_parallel": ("micro_batches", "adalora"),
        "model_parallel1": ("sgd",),
    },
}
STILL = {"hidden_dropout": 0.0, "attention_dropout": 0.0, "projection_dropout": 0.0}
STILL |= {"num_layers": 1}
ROWS = 21  # In batches of 8 the last one has an odd number of rows.
# A large epsilon: where the true gradient is 0, Adam would make steps of rounding.
CLIPPED = {"clip_norm": 0.1, "epsilon": 1e-3}


def save_checkpoints(folder):
    """Tasks with heads and a LoRA, so that both backends begin alike."""
    for name in ("bert", "gpt2"):
        (folder / name).mkdir()
        save_tiny_bert(folder / name, name, pad_token_id=0, **STILL)
    bert = folder / "bert"
    tasks = {
        "text_classifier": kft.TextClassifier.from_pretrained(bert, labels=LABELS),
        "token_classifier": kft.TokenClassifier.from_pretrained(bert, labels=TAGS),
        "causal_lm": kft.CausalLM.from_pretrained(folder / "gpt2"),
        "pretraining": kft.Pretraining.from_pretrained(bert),
        "text_embedder": kft.TextEmbedder.from_pretrained(bert),
    }
    for name, task in tasks.items():
        task.save_pretrained(folder / name)
        task = TASKS[name].from_pretrained(folder / name)
        task.add_adapter(kft.LoRA(rank=2, targets="all-linear"))
        task.save_adapter(folder / f"{name}-lora")


def rows_for(name, count):
    make = {
        "token_classifier": tiny_tagged,
        "pretraining": tiny_documents,
        "text_embedder": tiny_pairs,
    }
    return make.get(name, tiny_rows)(count)


def opened(folder, name, adapter=None):
    """A task of `save_checkpoints`; `adapter` is "lora", a method, or None."""
    task = TASKS[name].from_pretrained(folder / name)
    if adapter == "lora":
        task.load_adapter(folder / f"{name}-lora")
    elif adapter is not None:
        keras.utils.set_random_seed(1)
        task.add_adapter(adapter)
    return task


def curve(folder, name, adapter):
    """The loss of each of 20 AdamW steps with warm-up, clipping and decay."""
    task = opened(folder, name, adapter)
    task.compile(kft.adamw(2e-3, total_steps=STEPS))
    rows = rows_for(name, 8 * STEPS)
    batches = task.dataset(rows, 8, training=True, seed=1, max_shapes=1)
    return losses(task, batches)


def losses(task, batches):
    """The loss of each of 20 steps."""
    return task.fit(batches, steps_per_epoch=1, epochs=STEPS, verbose=0).history["loss"]


def flat(variables):
    return np.concatenate([keras.ops.convert_to_numpy(v).ravel() for v in variables])


def trained(folder, name, adapter=None, *, valid=False, **options):
    """How far the weights moved in one epoch, and what was told."""
    task = opened(folder, name, adapter)
    task.compile(**options)
    start = flat(task.trainable_weights)
    rows = rows_for(name, ROWS)
    batches = task.dataset(rows, 8, training=True, seed=1, max_shapes=1)
    told = task.dataset(rows_for(name, 13), 4, max_shapes=1) if valid else None
    history = task.fit(batches, validation_data=told, verbose=0).history
    return task, flat(task.trainable_weights) - start, history


# Name: the task, its adapter, and what `compile` is given.
CASES = {
    "sgd": ("text_classifier", None, {"optimizer": lambda: keras.optimizers.SGD(0.5)}),
    "micro_batches": (
        "token_classifier",
        "lora",
        {"optimizer": lambda: kft.AdamW(1e-2, **CLIPPED), "micro_batches": 3},
    ),
    "loss_sum": (
        "pretraining",
        None,
        {"optimizer": lambda: kft.AdamW(1e-2, **CLIPPED), "micro_batches": 2},
    ),
    "adalora": (
        "text_classifier",
        kft.AdaLoRA(init_rank=4, target_rank=2),
        {"optimizer": lambda: kft.AdamW(1e-2, **CLIPPED)},
    ),
    "ranking": (
        "text_embedder",
        None,
        {"optimizer": lambda: keras.optimizers.SGD(0.5)},
    ),
    "causal_lm": ("causal_lm", None, {"optimizer": lambda: keras.optimizers.SGD(0.5)}),
}


def run_case(folder, case):
    name, adapter, options = CASES[case]
    options = {**options, "optimizer": options["optimizer"]()}
    valid = case in ("sgd", "ranking")
    return trained(folder, name, adapter, valid=valid, **options)
