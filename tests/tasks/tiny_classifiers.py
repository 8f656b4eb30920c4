"""Tiny classifiers of the three problems, and rows for them."""

import keras
import torch
from tiny_tasks import LABELS, tiny_rows

import kerasft as kft

TEXTS = tiny_rows(21).texts()
SECONDS = TEXTS[::-1]
GIVEN = {
    "single_label": [LABELS[i % 3] for i in range(21)],
    "multi_label": [list(LABELS[: i % 4]) for i in range(21)],
    "regression": [i / 7 for i in range(21)],
}
NAMES = {**dict.fromkeys(GIVEN, LABELS), "regression": None}
EAGER = {"run_eagerly": True}  # Tracing takes longer than these few steps.


def made(folder, problem="single_label", **options):
    """A classifier with fresh random weights in its head, always the same ones."""
    keras.utils.set_random_seed(1)
    options = {"labels": NAMES[problem], "problem": problem} | options
    return kft.TextClassifier.from_pretrained(folder, **options)


def rows_for(problem="single_label", paired=False):
    return kft.from_lists(TEXTS, GIVEN[problem], SECONDS if paired else None)


def weights_of(task):
    return {weight.path: weight.numpy() for weight in task.weights}


def recipe(**options):
    return kft.adamw(**{"learning_rate": 1e-2, "total_steps": 9, "warmup": 0} | options)


def torch_loss(task, rows, **options):
    logits = torch.tensor(task.predict_rows(rows))
    labels = torch.tensor(rows.label_array(task.labels)).long()
    return torch.nn.functional.cross_entropy(logits, labels, **options).item()
