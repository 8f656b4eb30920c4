"""Tiny random classifiers of torch with an adapter of peft, and ours on their base."""

import warnings

import keras
import numpy as np
import torch
from numpy.testing import assert_allclose
from safetensors.numpy import load_file
from tiny_encoders import EXACT, batch_for, run_torch, torch_classifier
from tiny_tokenizers import save_tokenizer

import kerasft as kft

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import peft

FAMILIES = ("bert", "roberta", "distilbert", "gpt2", "llama")
LABELS = np.array([0, 2, 1])
TARGETS = {"distilbert": ["q_lin", "v_lin"], "gpt2": ["c_attn"]}
TARGETS["llama"] = ["q_proj", "v_proj"]
STILL = {  # No dropout, so that steps can be compared.
    "distilbert": ("dropout", "attention_dropout", "seq_classif_dropout"),
    "gpt2": ("embd_pdrop", "attn_pdrop", "resid_pdrop"),
    "llama": ("attention_dropout",),
}
USUAL = ("hidden_dropout_prob", "attention_probs_dropout_prob")


def targets_of(family):
    return TARGETS.get(family, ["query", "value"])


def saved_base(family, folder):
    """A random classifier of three labels, saved with a tokenizer."""
    still = dict.fromkeys(STILL.get(family, USUAL), 0.0)
    model = torch_classifier(family, **still)
    model.save_pretrained(folder)
    save_tokenizer(folder)
    return model


def with_peft(model, config):
    """The model with an adapter whose weights are all random."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        adapted = peft.get_peft_model(model, config).eval()
    torch.manual_seed(1)
    for parameter in adapted.parameters():
        if parameter.requires_grad:
            parameter.data.add_(0.1 * torch.randn_like(parameter))
    return adapted


def reopened(model_class, base, adapter, **options):
    """The base with an adapter that was saved, by peft."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = peft.PeftModel.from_pretrained(
            model_class.from_pretrained(base), adapter, **options
        )
    return model.eval()


def torch_logits(model, batch):
    return run_torch(model, batch).logits.numpy()


def torch_steps(model, batch, count, rate, after=None):
    """Plain gradient steps on the trained weights; `after(step)` runs after each."""
    trained = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.SGD(trained, rate)
    inputs = {key: torch.tensor(value) for key, value in batch.items()}
    for step in range(count):
        model(**inputs, labels=torch.tensor(LABELS)).loss.backward()
        optimizer.step()
        if after:
            after(step + 1)
        optimizer.zero_grad()


def our_steps(task, batch, count, rate):
    """The same here; the graph is not needed."""
    task.compile(keras.optimizers.SGD(rate), run_eagerly=True)
    task.begin_fit(count)
    for _ in range(count):
        task.train_on_batch(batch, LABELS)


def loaded(base, adapter=None):
    task = kft.TextClassifier.from_pretrained(base)
    if adapter is not None:
        task.load_adapter(adapter)
    return task


def logits_of(task, batch):
    return np.asarray(task(batch))


def tensors_of(folder):
    """Tensors of an adapter, without the copies that peft writes of a head's bias."""
    found = load_file(folder / "adapter_model.safetensors")
    copies = (".modules_to_save.", ".original_module.")
    return {k: v for k, v in found.items() if not any(c in k for c in copies)}


def assert_same_tensors(ours, theirs):
    ours, theirs = tensors_of(ours), tensors_of(theirs)
    assert ours.keys() == theirs.keys()
    for key, tensor in theirs.items():
        assert_allclose(ours[key], tensor, err_msg=key, **EXACT)


__all__ = ["EXACT", "batch_for", "peft"]
