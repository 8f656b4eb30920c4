"""torch: transformers' `generate`, greedy, with its cache.

Also tells how fast this machine reads memory: the sum of a gigabyte, best of five.
"""

import time

import torch
from prompts import prompts_of
from transformers import AutoModelForCausalLM
from worker import serve


def bytes_per_second() -> float:
    """Return how many bytes a second a sum over a large tensor reads."""
    numbers = torch.ones(2**28)
    numbers.sum()
    best = float("inf")
    for _ in range(5):
        began = time.perf_counter()
        numbers.sum()
        best = min(best, time.perf_counter() - began)
    return numbers.nbytes / best


def start(job):
    torch.set_num_threads(job.threads)
    model = AutoModelForCausalLM.from_pretrained(job.checkpoint).eval()
    ids = torch.tensor(prompts_of(job))
    weights = sum(parameter.nbytes for parameter in model.parameters())

    def run() -> dict:
        speed = bytes_per_second()
        began = time.perf_counter()
        with torch.inference_mode():
            made = model.generate(
                ids,
                attention_mask=torch.ones_like(ids),
                max_new_tokens=job.tokens,
                min_new_tokens=job.tokens,
                do_sample=False,
                pad_token_id=0,
            )
        seconds = time.perf_counter() - began
        return {
            "seconds": seconds,
            "ids": made[:, job.length :].tolist(),
            "weight_bytes": weights,
            "bytes_per_second": speed,
        }

    return run


if __name__ == "__main__":
    serve(start, ["torch", "transformers"])
