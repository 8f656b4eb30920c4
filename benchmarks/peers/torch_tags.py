"""transformers 5 on torch: token classification in a plain loop.

Labels stand on the first token of each word, -100 elsewhere, as in the examples of
`transformers`; all else is as in `torch_loop.py`.
"""

import torch
from torch.nn.utils.rnn import pad_sequence
from torch_loop import adamw
from torch_rows import padded
from transformers import (
    AutoModelForTokenClassification,
    AutoTokenizer,
    get_linear_schedule_with_warmup,
)
from transformers.trainer_pt_utils import get_length_grouped_indices
from worker import read_rows, serve


def encoded(tokenizer, rows, tags, max_length):
    """Return ids and labels of every row; a word's label is on its first token."""
    told = tokenizer(
        rows[0],
        is_split_into_words=True,
        truncation=True,
        max_length=max_length,
        padding=False,
    )
    labels = []
    for i, names in enumerate(rows[1]):
        before, row = None, []
        for word in told.word_ids(i):
            fresh = word is not None and word != before
            row.append(tags.index(names[word]) if fresh else -100)
            before = word
        labels.append(torch.tensor(row))
    return [torch.tensor(row) for row in told["input_ids"]], labels


@torch.inference_mode()
def accuracy(model, ids, labels, pad_id, batch_size) -> float:
    """Return the share of words that get their own tag."""
    model.eval()
    right = words = 0
    for start in range(0, len(ids), batch_size):
        part = slice(start, start + batch_size)
        best = model(**padded(ids[part], pad_id)).logits.argmax(-1)
        wanted = pad_sequence(labels[part], batch_first=True, padding_value=-100)
        right += ((best == wanted) & (wanted != -100)).sum().item()
        words += (wanted != -100).sum().item()
    return right / words


def train(model, ids, labels, job, pad_id):
    steps = -(-len(ids) // job.batch_size) * job.epochs
    optimizer = adamw(model, job)
    schedule = get_linear_schedule_with_warmup(
        optimizer, round(job.warmup * steps), steps
    )
    model.train()
    for _ in range(job.epochs):
        order = get_length_grouped_indices([len(row) for row in ids], job.batch_size)
        for start in range(0, len(order), job.batch_size):
            chosen = order[start : start + job.batch_size]
            batch = padded([ids[i] for i in chosen], pad_id)
            wanted = pad_sequence(
                [labels[i] for i in chosen], batch_first=True, padding_value=-100
            )
            model(**batch, labels=wanted).loss.backward()
            optimizer.step()
            schedule.step()
            optimizer.zero_grad()


def start(job):
    torch.set_num_threads(job.threads)
    tokenizer = AutoTokenizer.from_pretrained(job.checkpoint)

    def run() -> dict:
        torch.manual_seed(job.seed)
        rows, test = read_rows(job.train), read_rows(job.test)
        tags = sorted({tag for row in rows[1] for tag in row})
        model = AutoModelForTokenClassification.from_pretrained(
            job.checkpoint, num_labels=len(tags)
        )
        pad_id = tokenizer.pad_token_id
        train(model, *encoded(tokenizer, rows, tags, job.max_length), job, pad_id)
        found = encoded(tokenizer, test, tags, job.max_length)
        return {"accuracy": accuracy(model, *found, pad_id, job.batch_size)}

    return run


if __name__ == "__main__":
    serve(start, ["torch", "transformers"])
