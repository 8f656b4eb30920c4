"""transformers 5 on torch: strings in, labels out.

`plain` in the job leaves `pipeline("text-classification")` out: whole batches go to
the tokenizer and to the model by hand, which is quicker, because the pipeline
tokenises text by text. Both pad to the longest row of a batch and run in
`inference_mode`. `sort` orders the texts by their number of characters first.
"""

import json
import time
from collections.abc import Callable
from pathlib import Path

import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer, pipeline
from worker import serve


def by_hand(model, tokenizer, job) -> Callable[[list[str]], list[str]]:
    """Return a function from texts to labels that goes batch by batch."""

    @torch.inference_mode()
    def classify(texts: list[str]) -> list[str]:
        found = []
        for cut in range(0, len(texts), job.batch_size):
            batch = tokenizer(
                texts[cut : cut + job.batch_size],
                truncation=True,
                max_length=job.max_length,
                padding=True,
                return_tensors="pt",
            )
            found += model(**batch).logits.argmax(-1).tolist()
        return [model.config.id2label[index] for index in found]

    return classify


def by_pipeline(model, tokenizer, job) -> Callable[[list[str]], list[str]]:
    """Return a function from texts to labels that uses the pipeline."""
    classifier = pipeline("text-classification", model=model, tokenizer=tokenizer)
    settings = {"truncation": True, "max_length": job.max_length, "padding": True}

    def classify(texts: list[str]) -> list[str]:
        found = classifier(texts, batch_size=job.batch_size, **settings)
        return [answer["label"] for answer in found]

    return classify


def start(job):
    torch.set_num_threads(job.threads)
    began = time.perf_counter()
    tokenizer = AutoTokenizer.from_pretrained(job.checkpoint)
    model = AutoModelForSequenceClassification.from_pretrained(job.checkpoint).eval()
    classify = (by_hand if job.plain else by_pipeline)(model, tokenizer, job)
    load_seconds = time.perf_counter() - began
    texts = json.loads(Path(job.texts).read_text())

    def run() -> dict:
        began = time.perf_counter()
        order = range(len(texts))
        if job.sort:
            order = sorted(order, key=lambda i: len(texts[i]))
        found = classify([texts[i] for i in order])
        labels = [""] * len(texts)
        for i, label in zip(order, found, strict=True):
            labels[i] = label
        seconds = time.perf_counter() - began
        return {"seconds": seconds, "load_seconds": load_seconds, "labels": labels}

    return run


if __name__ == "__main__":
    serve(start, ["torch", "transformers"])
