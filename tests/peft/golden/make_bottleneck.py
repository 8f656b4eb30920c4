"""Make what `test_bottleneck.py` compares with, by the `adapters` library itself.

    pip install torch transformers==4.57.6 adapters==1.3.0 safetensors
    python tests/peft/golden/make_bottleneck.py

For each case: the folder that the library saves, and `<case>.safetensors` with the
logits of a batch (`plain`: without the adapter), and losses and weights of three steps
of SGD. No base is kept: `base_model` makes the same one in any version.

    python make_bottleneck.py logits <model type> <folder> ...

writes `logits.safetensors` into folders of adapters: what the library gives with each.
"""

import sys
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from transformers import AutoConfig, AutoModelForSequenceClassification

HERE = Path(__file__).parent / "bottleneck"
SIZES = {
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 24,
    "max_position_embeddings": 40,
}
ENCODER = {**SIZES, "hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
CONFIGS = {
    "bert": ENCODER,
    "roberta": {**ENCODER, "type_vocab_size": 1},
    "albert": {**ENCODER, "embedding_size": 8, "classifier_dropout_prob": 0.0},
    "electra": {**ENCODER, "embedding_size": 8},
    "deberta-v2": {
        **ENCODER,
        "relative_attention": True,
        "position_buckets": 8,
        "norm_rel_ebd": "layer_norm",
        "share_att_key": True,
        "pos_att_type": "p2c|c2p",
        "position_biased_input": False,
    },
    "distilbert": {
        "dim": 16,
        "n_layers": 2,
        "n_heads": 4,
        "hidden_dim": 24,
        "max_position_embeddings": 40,
        "dropout": 0.0,
        "attention_dropout": 0.0,
        "seq_classif_dropout": 0.0,
    },
    "gpt2": {
        "n_embd": 16,
        "n_layer": 2,
        "n_head": 4,
        "n_inner": 24,
        "n_positions": 40,
        "pad_token_id": 0,
        "embd_pdrop": 0.0,
        "resid_pdrop": 0.0,
        "attn_pdrop": 0.0,
    },
    "llama": {**SIZES, "num_key_value_heads": 2, "pad_token_id": 0},
    "mistral": {**SIZES, "num_key_value_heads": 2, "pad_token_id": 0},
}
# How the library calls a method, and what is told it.
SETTINGS = {
    "houlsby": ("DoubleSeqBnConfig", {"reduction_factor": 4}),
    "pfeiffer": ("SeqBnConfig", {"reduction_factor": 4}),
    "parallel": ("ParBnConfig", {}),
    "learned": ("ParBnConfig", {"scaling": "learned", "non_linearity": "gelu"}),
    "channel": ("DoubleSeqBnConfig", {"scaling": "channel", "init_weights": "houlsby"}),
    "sparse": (
        "SeqBnConfig",
        {"leave_out": [0], "reduction_factor": {"1": 2.5, "default": 8}},
    ),
}
CASES = [
    (model_type, settings)
    for model_type in ("bert", "roberta", "distilbert", "gpt2", "llama")
    for settings in ("houlsby", "pfeiffer", "parallel")
]
CASES += [("albert", "houlsby"), ("bert", "learned"), ("llama", "channel")]
CASES += [("distilbert", "sparse")]
LABELS, RATE, STEPS = [0, 2, 1], 0.1, 3


def base_model(model_type):
    """A classifier of three labels; weights by the order of their names."""
    config = AutoConfig.for_model(
        model_type, vocab_size=101, num_labels=3, **CONFIGS[model_type]
    )
    model = AutoModelForSequenceClassification.from_config(config).eval()
    draw(model.named_parameters(), 0.3, 0)
    return model


def draw(named, deviation, seed):
    """Fill parameters with numbers that depend on their places alone."""
    for number, (_, parameter) in enumerate(sorted(named)):
        random = np.random.RandomState(seed + number)
        numbers = random.normal(0.0, deviation, tuple(parameter.shape))
        parameter.data = torch.tensor(numbers.astype("float32"))


def batch_for(model_type):
    """Three texts of 17, 10 and 5 tokens, padded."""
    random = np.random.RandomState(0)
    mask = (np.arange(17) < np.array([[17], [10], [5]])).astype("int32")
    pad = 1 if model_type == "roberta" else 0
    ids = np.where(mask == 1, random.randint(5, 101, mask.shape), pad)
    return {"input_ids": ids.astype("int32"), "attention_mask": mask}


def logits_of(model, model_type):
    batch = batch_for(model_type)
    tensors = {key: torch.tensor(value).long() for key, value in batch.items()}
    return model(**tensors).logits


def make(model_type, settings):
    import adapters

    torch.manual_seed(0)
    model = base_model(model_type)
    found = {"plain": logits_of(model, model_type)}
    adapters.init(model)
    kind, told = SETTINGS[settings]
    model.add_adapter("tuned", config=getattr(adapters, kind)(**told))
    model.train_adapter("tuned")
    trained = {n: p for n, p in model.named_parameters() if p.requires_grad}
    draw(trained.items(), 0.2, 1000)
    model.eval()
    found["logits"] = logits_of(model, model_type)
    case = HERE / f"{model_type}-{settings}"
    model.save_adapter(str(case), "tuned", use_safetensors=True)
    optimizer = torch.optim.SGD(trained.values(), RATE)
    losses = []
    for _ in range(STEPS):
        logits = logits_of(model, model_type)
        loss = torch.nn.functional.cross_entropy(logits, torch.tensor(LABELS))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.detach())
    found["losses"] = torch.stack(losses)
    found |= {f"after.{name}": parameter for name, parameter in trained.items()}
    tensors = {name: value.detach().contiguous() for name, value in found.items()}
    save_file(tensors, HERE / f"{case.name}.safetensors")


def write_logits(model_type, *folders):
    import adapters

    for folder in folders:
        model = base_model(model_type)
        adapters.init(model)
        told = {}
        name = model.load_adapter(folder, use_safetensors=True, loading_info=told)
        # A DeBERTa's pooler counts as its head there; here it is the base's.
        lost = [key for key in told["missing_keys"] if not key.startswith("pooler.")]
        if lost or told["unexpected_keys"]:
            raise SystemExit(f"{folder}: the library found {told}")
        model.set_active_adapters(name)
        model.eval()
        with torch.no_grad():
            logits = {"logits": logits_of(model, model_type)}
        save_file(logits, Path(folder) / "logits.safetensors")


if __name__ == "__main__":
    if sys.argv[1:2] == ["logits"]:
        write_logits(*sys.argv[2:])
    else:
        HERE.mkdir(exist_ok=True)
        for case in CASES:
            make(*case)
