"""Prompts and prefixes of torch's peft on tiny models, and ours, for the tests here."""

import warnings

import numpy as np
import torch
from peft import (
    PeftModel,
    PrefixTuningConfig,
    PromptEncoderConfig,
    PromptTuningConfig,
    get_peft_model,
)
from safetensors.numpy import load_file
from tiny_encoders import save_torch, torch_model
from tiny_tokenizers import save_tokenizer
from transformers import (
    AutoModelForCausalLM,
    AutoModelForQuestionAnswering,
    AutoModelForSequenceClassification,
    AutoModelForTokenClassification,
)

import kerasft as kft

COUNT = 5  # Virtual tokens.
TEXT = "a great film"
# Ours and peft's settings of each kind.
KINDS = {
    "prefix": (kft.PrefixTuning, {}, PrefixTuningConfig, {}),
    "projection": (
        kft.PrefixTuning,
        {"projection": True, "hidden_size": 24},
        PrefixTuningConfig,
        {"prefix_projection": True, "encoder_hidden_size": 24},
    ),
    "v2": (kft.PTuningV2, {}, PrefixTuningConfig, {}),
    "random": (kft.PromptTuning, {}, PromptTuningConfig, {}),
    "vocabulary": (
        kft.PromptTuning,
        {"init": "vocabulary"},
        PromptTuningConfig,
        {"prompt_tuning_init": "SAMPLE_VOCAB"},
    ),
    "text": (
        kft.PromptTuning,
        {"init": "text", "text": TEXT},
        PromptTuningConfig,
        {"prompt_tuning_init": "TEXT", "prompt_tuning_init_text": TEXT},
    ),
    "mlp": (
        kft.PTuning,
        {"hidden_size": 24},
        PromptEncoderConfig,
        {"encoder_hidden_size": 24},
    ),
    "lstm": (
        kft.PTuning,
        {"encoder": "lstm", "hidden_size": 24},
        PromptEncoderConfig,
        {"encoder_reparameterization_type": "LSTM", "encoder_hidden_size": 24},
    ),
}
PREFIXES = ("prefix", "projection", "v2")
# Their config has no sizes that peft finds, or the tables are of another width.
TOLD = {
    "distilbert": {"token_dim": 32, "num_layers": 2, "num_attention_heads": 4},
    "electra": {"token_dim": 16},
    "albert": {"token_dim": 16},
}
TASKS = {
    "SEQ_CLS": (AutoModelForSequenceClassification, kft.TextClassifier),
    "TOKEN_CLS": (AutoModelForTokenClassification, kft.TokenClassifier),
    "QUESTION_ANS": (AutoModelForQuestionAnswering, kft.QuestionAnswerer),
    "CAUSAL_LM": (AutoModelForCausalLM, kft.CausalLM),
}


def saved_base(folder, model_type, task_type="SEQ_CLS", **settings):
    """A random model's folder."""
    labels = {} if task_type in ("QUESTION_ANS", "CAUSAL_LM") else {"num_labels": 3}
    model = torch_model(model_type, TASKS[task_type][0], **labels, **settings)
    save_torch(model, folder)
    save_tokenizer(folder)
    return folder


def loaded(base, task_type="SEQ_CLS"):
    """Our task of a folder."""
    return TASKS[task_type][1].from_pretrained(base)


def ours_of(kind, **settings):
    """Our method."""
    method, own, _, _ = KINDS[kind]
    return method(num_virtual_tokens=COUNT, **own, **settings)


def peft_model(base, kind, task_type="SEQ_CLS", noise=0.1):
    """peft's model of a folder with a fresh adapter, all that is trained moved."""
    _, _, config, settings = KINDS[kind]
    if kind == "text":
        settings = {**settings, "tokenizer_name_or_path": str(base)}
    model = TASKS[task_type][0].from_pretrained(base)
    if kind not in PREFIXES or model.config.model_type == "distilbert":
        settings = {**TOLD.get(model.config.model_type, {}), **settings}
    torch.manual_seed(1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = get_peft_model(
            model,
            config(task_type=task_type, num_virtual_tokens=COUNT, **settings),
        )
    for parameter in model.parameters():
        if parameter.requires_grad:
            parameter.data.add_(noise * torch.randn_like(parameter))
    return model.eval()


def read_by_peft(base, folder, task_type="SEQ_CLS"):
    """peft's model of a base and an adapter's folder."""
    model = TASKS[task_type][0].from_pretrained(base)
    return PeftModel.from_pretrained(model, folder).eval()


def torch_logits(model, batch):
    """peft's logits, those of virtual tokens cut off."""
    length = batch["input_ids"].shape[1]
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = model(**{key: torch.tensor(value) for key, value in batch.items()})
    if "start_logits" in found:
        logits = torch.stack([found.start_logits, found.end_logits], -1)
    else:
        logits = found.logits
    logits = logits.numpy()
    return logits[:, -length:] if logits.ndim == 3 else logits


def alike(ours, theirs, batch):
    """The largest difference of logits, padding aside."""
    difference = np.abs(np.asarray(ours) - theirs)
    if difference.ndim == 3:
        difference = difference[np.asarray(batch["attention_mask"], bool)]
    return difference.max()


def tensors_of(folder):
    return load_file(folder / "adapter_model.safetensors")


def vectors_of(task):
    """What the working adapter's virtual tokens are, (count, width)."""
    return task.working_adapter.parts[0].layer.vectors()
