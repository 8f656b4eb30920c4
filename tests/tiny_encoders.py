"""Tiny random models of every family, torch's and ours, for the tests beside it."""

import numpy as np
import torch
from numpy.testing import assert_allclose
from safetensors.torch import load_file, save_file
from transformers import AutoConfig, AutoModel, AutoModelForSequenceClassification

from kerasft.checkpoints.tensors import TensorReader
from kerasft.models import FAMILIES, pretrained

EXACT = {"rtol": 0, "atol": 1e-5}
SIZES = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 64,
}
DISTIL_SIZES = {"dim": 32, "n_layers": 2, "n_heads": 4, "hidden_dim": 64}
GPT_SIZES = {"n_embd": 32, "n_layer": 2, "n_head": 4, "n_inner": 64, "n_positions": 40}
DECODERS = ("gpt2", "llama", "mistral", "qwen2", "qwen3")
PARTICULAR = {
    "albert": {"embedding_size": 16},
    "deberta-v2": {
        "relative_attention": True,
        "position_buckets": 8,  # Few, so that texts of 17 tokens reach the far ones.
        "norm_rel_ebd": "layer_norm",
        "share_att_key": True,
        "pos_att_type": "p2c|c2p",
        "position_biased_input": False,
    },
    "distilbert": {},
    "electra": {"embedding_size": 16},
    "gpt2": {"pad_token_id": 0},
    "llama": {"pad_token_id": 0, "num_key_value_heads": 2},
    # A window that is shorter than the texts.
    "mistral": {"pad_token_id": 0, "num_key_value_heads": 2, "sliding_window": 6},
    "qwen2": {"pad_token_id": 0, "num_key_value_heads": 2, "tie_word_embeddings": True},
    "qwen3": {
        "pad_token_id": 0,
        "num_key_value_heads": 1,
        "head_dim": 16,
        "use_sliding_window": True,
        "sliding_window": 6,
        "max_window_layers": 1,
    },
    # A window that is shorter than the texts, and ids within the tiny vocabulary.
    "modernbert": {
        "local_attention": 8,
        **{f"{name}_token_id": 0 for name in ("pad", "bos", "eos", "cls", "sep")},
    },
    "roberta": {"type_vocab_size": 1},
    "xlm-roberta": {"type_vocab_size": 1},
}

OURS = {
    "gpt2": {"pad_token_id": 0},
    "llama": {"pad_token_id": 0, "num_kv_heads": 2},
    "mistral": {"pad_token_id": 0, "num_kv_heads": 2},
    "qwen2": {"pad_token_id": 0, "num_kv_heads": 2, "qkv_bias": True},
    "qwen3": {"pad_token_id": 0, "num_kv_heads": 2, "head_size": 16, "qk_norm": True},
}


def torch_model(model_type, auto_class=AutoModel, **settings):
    sizes = {"distilbert": DISTIL_SIZES, "gpt2": GPT_SIZES}.get(model_type, SIZES)
    if model_type != "gpt2":
        sizes = {**sizes, "max_position_embeddings": 40}
    config = AutoConfig.for_model(
        model_type,
        vocab_size=101,
        **{**sizes, **PARTICULAR.get(model_type, {}), **settings},
    )
    torch.manual_seed(0)
    model = auto_class.from_config(config).eval()
    for parameter in model.parameters():
        # Large, and biases and norms too, so that a wrong formula shows.
        torch.nn.init.normal_(parameter, 0.0, 0.3)
    return model


def torch_classifier(model_type, **settings):
    return torch_model(
        model_type, AutoModelForSequenceClassification, **{"num_labels": 3, **settings}
    )


def batch_for(model_type):
    """Three rows of 17, 10 and 5 tokens, padded, as a tokenizer gives them."""
    pad = 1 if "roberta" in model_type else 0
    rng = np.random.default_rng(0)
    mask = (np.arange(17) < np.array([[17], [10], [5]])).astype("int32")
    ids = np.where(mask == 1, rng.integers(5, 101, mask.shape), pad)
    batch = {"input_ids": ids.astype("int32"), "attention_mask": mask}
    if model_type in ("albert", "bert", "electra"):
        batch["token_type_ids"] = (np.arange(17) > 6).astype("int32") * mask
    return batch


def run_torch(model, batch):
    with torch.no_grad():
        return model(**{key: torch.tensor(value) for key, value in batch.items()})


def load_classifier(folder, num_labels, new_layers=()):
    family, config = pretrained.read_config(folder)
    reader = TensorReader(folder)
    backbone = pretrained.empty_backbone(family, config, reader)
    head = family.heads["text_classifier"].build(config, num_labels)
    report = pretrained.load_weights(
        reader, backbone, "text_classifier", head, new_layers
    )
    return backbone, head, report


def save_torch(model, folder):
    model.save_pretrained(folder)
    return folder


def rewrite(folder, change):
    """Rename or drop tensors of a saved folder: `change(key)` gives the new key."""
    path = folder / "model.safetensors"
    tensors = {change(key): tensor for key, tensor in load_file(path).items()}
    tensors.pop(None, None)
    save_file(tensors, path)


def assert_same_states(ours, reference, mask):
    real = np.asarray(mask, bool)
    assert_allclose(np.asarray(ours)[real], reference.numpy()[real], **EXACT)


def new_backbone(model_type, **settings):
    family = FAMILIES[model_type]
    config = family.config_class(
        model_type=model_type,
        **{
            "vocab_size": 101,
            "hidden_size": 32,
            "num_layers": 2,
            "num_heads": 4,
            "intermediate_size": 64,
            "max_position_embeddings": 40,
            **family.defaults,
            **OURS.get(model_type, {}),
            **settings,
        },
    )
    return family.new_backbone(config)
