"""peft on torch, in a plain loop: steps of LoRA, or of the whole model ("full")."""

import time
from statistics import median

import torch
from peft import LoraConfig, get_peft_model
from torch_loop import adamw
from torch_rows import encoded, padded
from transformers import AutoModelForSequenceClassification, AutoTokenizer
from worker import peak_memory_mib, read_rows, serve


def start(job):
    libraries = peak_memory_mib()
    torch.set_num_threads(job.threads)
    tokenizer = AutoTokenizer.from_pretrained(job.checkpoint)

    def run() -> dict:
        torch.manual_seed(job.seed)
        texts, labels = read_rows(job.train)
        ids = [torch.tensor(row) for row in encoded(tokenizer, texts, job.max_length)]
        model = AutoModelForSequenceClassification.from_pretrained(
            job.checkpoint, num_labels=max(labels) + 1
        )
        if job.method != "full":
            config = LoraConfig(task_type="SEQ_CLS", r=job.settings.rank)
            model = get_peft_model(model, config)
        trained = [p for p in model.parameters() if p.requires_grad]
        optimizer = adamw(model, job)
        model.train()
        laps, labels = [], torch.tensor(labels)
        for step in range(job.steps):
            first = step * job.batch_size % (len(ids) - job.batch_size)
            chosen = list(range(first, first + job.batch_size))
            batch = padded([ids[i] for i in chosen], tokenizer.pad_token_id)
            began = time.perf_counter()
            model(**batch, labels=labels[chosen]).loss.backward()
            torch.nn.utils.clip_grad_norm_(trained, 1.0)
            optimizer.step()
            optimizer.zero_grad()
            laps.append(time.perf_counter() - began)
        count = sum(p.numel() for p in trained)
        told = {"step_seconds": median(laps[2:]), "trained": count}
        return told | {"libraries_mib": libraries}

    return run


if __name__ == "__main__":
    serve(start, ["torch", "transformers", "peft"])
