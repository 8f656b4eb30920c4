"""transformers 5 on torch, with its `Trainer`: what most users run.

Best settings used: `DataCollatorWithPadding`, `group_by_length` sampling (renamed
`train_sampling_strategy` in version 5), fused AdamW (the default), no logging, no
saving, no clipping (no other peer clips).
"""

import tempfile
import time

import torch
from torch_rows import accuracy, encoded
from transformers import (
    AutoModelForSequenceClassification,
    AutoTokenizer,
    DataCollatorWithPadding,
    Trainer,
    TrainerCallback,
    TrainingArguments,
)
from worker import Clock, padding_share, read_rows, serve


class EpochEnds(TrainerCallback):
    """Marks the end of every epoch on a clock."""

    def __init__(self, clock: Clock):
        self.clock = clock

    def on_epoch_end(self, args, state, control, **kwargs):
        self.clock.mark()


class CountingCollator(DataCollatorWithPadding):
    """Pads to the longest row and counts the token places it made."""

    slots = 0

    def __call__(self, features):
        batch = super().__call__(features)
        self.slots += batch["input_ids"].numel()
        return batch


def arguments(job, folder: str) -> TrainingArguments:
    """Return the recipe of the job, with everything off that is not training."""
    return TrainingArguments(
        output_dir=folder,
        per_device_train_batch_size=job.batch_size,
        num_train_epochs=job.epochs,
        learning_rate=job.learning_rate,
        weight_decay=job.decay,
        warmup_steps=job.warmup,
        max_grad_norm=0.0,
        train_sampling_strategy="group_by_length",
        logging_strategy="no",
        save_strategy="no",
        report_to=[],
        disable_tqdm=True,
        use_cpu=True,
        seed=job.seed,
    )


def start(job):
    torch.set_num_threads(job.threads)
    tokenizer = AutoTokenizer.from_pretrained(job.checkpoint)

    def run() -> dict:
        texts, labels = read_rows(job.train)
        began = time.perf_counter()
        ids = encoded(tokenizer, texts, job.max_length)
        tokenised = time.perf_counter()
        model = AutoModelForSequenceClassification.from_pretrained(
            job.checkpoint, num_labels=2
        )
        loaded = time.perf_counter()
        examples = [
            {"input_ids": x, "labels": y} for x, y in zip(ids, labels, strict=True)
        ]
        collator = CountingCollator(tokenizer)
        with tempfile.TemporaryDirectory() as folder:
            clock = Clock()
            trainer = Trainer(
                model,
                arguments(job, folder),
                data_collator=collator,
                train_dataset=examples,
                callbacks=[EpochEnds(clock)],
            )
            trainer.train()
            clock.mark()
        lengths = [len(row) for row in ids] * job.epochs
        return {
            "tokenise_seconds": tokenised - began,
            "load_seconds": loaded - tokenised,
            "fit_seconds": clock.total,
            "epoch_seconds": clock.laps[: job.epochs],
            "padding_share": padding_share(lengths, collator.slots),
            "accuracy": accuracy(model, tokenizer, read_rows(job.test), job),
        }

    return run


if __name__ == "__main__":
    serve(start, ["torch", "transformers", "accelerate"])
