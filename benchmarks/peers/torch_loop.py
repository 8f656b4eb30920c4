"""transformers 5 on torch, in a plain loop: what a careful user writes by hand.

Best settings used: batches of like lengths padded to their longest row, `sdpa`
attention, fused AdamW, no value read back during an epoch. `compile` in the job adds
`torch.compile` with dynamic shapes.
"""

import time

import torch
from torch_rows import accuracy, encoded, padded
from transformers import (
    AutoModelForSequenceClassification,
    AutoTokenizer,
    get_linear_schedule_with_warmup,
)
from transformers.trainer_pt_utils import get_length_grouped_indices
from worker import Clock, padding_share, read_rows, serve


def adamw(model, job):
    """Return AdamW that decays neither biases nor layer norms."""
    named = list(model.named_parameters())
    groups = [
        {"params": [p for _, p in named if p.ndim > 1], "weight_decay": job.decay},
        {"params": [p for _, p in named if p.ndim == 1], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=job.learning_rate, fused=True)


def train(model, ids, labels, job, pad_id) -> tuple[Clock, float]:
    """Train for all epochs; return the clock and the share of padding."""
    steps = -(-len(ids) // job.batch_size) * job.epochs
    optimizer = adamw(model, job)
    schedule = get_linear_schedule_with_warmup(
        optimizer, round(job.warmup * steps), steps
    )
    lengths = [len(row) for row in ids]
    slots = 0
    model.train()
    clock = Clock()
    for _ in range(job.epochs):
        order = get_length_grouped_indices(lengths, job.batch_size)
        for start in range(0, len(order), job.batch_size):
            chosen = order[start : start + job.batch_size]
            batch = padded([ids[i] for i in chosen], pad_id)
            model(**batch, labels=labels[chosen]).loss.backward()
            optimizer.step()
            schedule.step()
            optimizer.zero_grad()
            slots += batch["input_ids"].numel()
        clock.mark()
    return clock, padding_share(lengths * job.epochs, slots)


def start(job):
    torch.set_num_threads(job.threads)
    tokenizer = AutoTokenizer.from_pretrained(job.checkpoint)

    def run() -> dict:
        torch.manual_seed(job.seed)
        texts, labels = read_rows(job.train)
        began = time.perf_counter()
        ids = [torch.tensor(row) for row in encoded(tokenizer, texts, job.max_length)]
        tokenised = time.perf_counter()
        model = AutoModelForSequenceClassification.from_pretrained(
            job.checkpoint, num_labels=max(labels) + 1
        )
        loaded = time.perf_counter()
        if job.compile:
            torch.compiler.reset()
            model.compile(dynamic=True)
        clock, padding = train(
            model, ids, torch.tensor(labels), job, tokenizer.pad_token_id
        )
        return {
            "tokenise_seconds": tokenised - began,
            "load_seconds": loaded - tokenised,
            "fit_seconds": clock.total,
            "epoch_seconds": clock.laps,
            "padding_share": padding,
            "accuracy": accuracy(model, tokenizer, read_rows(job.test), job),
        }

    return run


if __name__ == "__main__":
    serve(start, ["torch", "transformers"])
