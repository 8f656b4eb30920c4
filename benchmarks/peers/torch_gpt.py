"""torch: a plain loop over the job's batches, from its checkpoint."""

import math
import time

import numpy as np
import torch
from torch_loop import adamw
from transformers import AutoModelForCausalLM, get_linear_schedule_with_warmup
from worker import serve


def perplexity(model, rows, batch_size) -> float:
    """Return e to the mean loss of all tokens but each row's first."""
    model.eval()
    total, count = 0.0, 0
    with torch.inference_mode():
        for start in range(0, len(rows), batch_size):
            ids = rows[start : start + batch_size]
            logits = model(ids[:, :-1]).logits
            loss = torch.nn.functional.cross_entropy(
                logits.flatten(0, 1), ids[:, 1:].flatten(), reduction="sum"
            )
            total, count = total + loss.item(), count + ids[:, 1:].numel()
    return math.exp(total / count)


def start(job):
    torch.set_num_threads(job.threads)
    tokens = np.load(job.tokens)
    train, test = (torch.tensor(tokens[side]).long() for side in ("train", "test"))
    order = np.load(job.order)

    def run() -> dict:
        torch.manual_seed(0)
        model = AutoModelForCausalLM.from_pretrained(job.folder).train()
        optimizer = adamw(model, job)
        schedule = get_linear_schedule_with_warmup(
            optimizer, round(job.warmup * job.steps), job.steps
        )
        losses, marks = [], [time.perf_counter()]
        for chosen in order:
            ids = train[chosen]
            logits = model(ids[:, :-1]).logits
            loss = torch.nn.functional.cross_entropy(
                logits.flatten(0, 1), ids[:, 1:].flatten()
            )
            loss.backward()
            optimizer.step()
            schedule.step()
            optimizer.zero_grad()
            losses.append(loss.detach())
            marks.append(time.perf_counter())
        seconds = marks[-1] - marks[0]
        return {
            "seconds": seconds,
            "step_seconds": np.diff(marks).tolist(),
            "tokens_per_second": order.size * job.length / seconds,
            "losses": torch.stack(losses).tolist(),
            "perplexity": perplexity(model, test, job.batch_size),
        }

    return run


if __name__ == "__main__":
    serve(start, ["torch", "transformers"])
