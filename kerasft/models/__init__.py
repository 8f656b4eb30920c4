"""Backbones: one family of pretrained models a file, all of them in `FAMILIES`."""

from kerasft._registry import Registry
from kerasft.models import (
    albert,
    bert,
    deberta,
    distilbert,
    electra,
    gpt2,
    llama,
    modernbert,
    roberta,
)
from kerasft.models.backbone import Backbone

__all__ = ["FAMILIES", "Backbone", "family_of"]

FAMILIES = Registry(
    "model family",
    **{
        "albert": albert.FAMILY,
        "bert": bert.FAMILY,
        "deberta-v2": deberta.FAMILY,
        "distilbert": distilbert.FAMILY,
        "electra": electra.FAMILY,
        "gpt2": gpt2.FAMILY,
        "llama": llama.FAMILY,
        "mistral": llama.MISTRAL_FAMILY,
        "modernbert": modernbert.FAMILY,
        "qwen2": llama.QWEN2_FAMILY,
        "qwen3": llama.QWEN3_FAMILY,
        "roberta": roberta.FAMILY,
        "xlm-roberta": roberta.XLM_FAMILY,
    },
)


def family_of(config_json):
    """Give the family of a parsed `config.json`, by its `model_type`.

    Raises:
        UnknownNameError: none of `FAMILIES`.
    """
    return FAMILIES[str(config_json.get("model_type"))]
