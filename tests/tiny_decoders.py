"""Tiny random language models of every family of decoders, torch's and ours."""

import numpy as np
from tiny_encoders import DECODERS, save_torch, torch_model
from tiny_tokenizers import save_tokenizer
from transformers import AutoModelForCausalLM

import kerasft as kft

__all__ = ["DECODERS", "prompts_of", "saved_decoder", "torch_texts"]


def saved_decoder(folder, model_type="gpt2", **settings):
    """A random model with an end of text that it often finds, and our task of it."""
    settings = {"bos_token_id": None, "eos_token_id": 7, **settings}
    model = torch_model(model_type, AutoModelForCausalLM, **settings)
    save_torch(model, folder)
    save_tokenizer(folder)
    return model, kft.CausalLM.from_pretrained(folder)


def prompts_of(count, longest=12, seed=0):
    """Random token ids, of unlike lengths."""
    random = np.random.default_rng(seed)
    return [
        random.integers(8, 101, random.integers(1, longest)).tolist()
        for _ in range(count)
    ]


def torch_texts(model, prompt, **settings):
    """What torch makes of one prompt: for each text its ids, up to the end."""
    import torch

    ids = torch.tensor([prompt])
    with torch.no_grad():
        made = model.generate(
            ids,
            attention_mask=torch.ones_like(ids),
            do_sample=False,
            pad_token_id=0,
            **settings,
        )
    end = model.config.eos_token_id
    texts = [row[len(prompt) :].tolist() for row in made]
    return [text[: text.index(end)] if end in text else text for text in texts]
