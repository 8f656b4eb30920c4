"""Writes a GPT-2 of `job.sizes` with random weights beside the tokenizer's files."""

import json
from pathlib import Path

import torch
from transformers import GPT2Config, GPT2LMHeadModel
from worker import serve


def start(job):
    def run() -> dict:
        torch.manual_seed(0)
        vocabulary = json.loads((Path(job.folder) / "tokenizer.json").read_text())
        end = next(iter(vocabulary["added_tokens"]))["id"]
        config = GPT2Config(
            vocab_size=len(vocabulary["model"]["vocab"]),
            bos_token_id=None,
            eos_token_id=end,
            **vars(job.sizes),
        )
        GPT2LMHeadModel(config).save_pretrained(job.folder)
        return {}

    return run


if __name__ == "__main__":
    serve(start, ["torch", "transformers"])
