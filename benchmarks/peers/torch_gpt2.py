"""Writes a GPT-2 of the small size with random weights to `job.folder`."""

import torch
from transformers import GPT2Config, GPT2LMHeadModel
from worker import serve


def start(job):
    def run() -> dict:
        torch.manual_seed(0)
        config = GPT2Config(bos_token_id=None, eos_token_id=None)
        GPT2LMHeadModel(config).save_pretrained(job.folder)
        return {}

    return run


if __name__ == "__main__":
    serve(start, ["torch", "transformers"])
