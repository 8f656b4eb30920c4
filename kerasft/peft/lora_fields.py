"""The fields of peft's `LoraConfig` that kerasft writes, and those it refuses.

Source: peft 0.21.2.
"""

from kerasft._errors import CheckpointError

# Fields of `LoraConfig` that no setting of ours changes; as peft 0.21.2 writes them.
LORA_FIELDS = {
    "alora_invocation_tokens": None,
    "arrow_config": None,
    "corda_config": None,
    "ensure_weight_tying": False,
    "eva_config": None,
    "exclude_modules": None,
    "kasa_config": None,
    "layer_replication": None,
    "layers_pattern": None,
    "layers_to_transform": None,
    "loftq_config": {},
    "lora_bias": False,
    "lora_ga_config": None,
    "megatron_config": None,
    "megatron_core": "megatron.core",
    "monteclora_config": None,
    "qalora_group_size": 16,
    "target_parameters": None,
    "trainable_token_indices": None,
    "use_bdlora": None,
    "use_qalora": False,
    "velora_config": None,
}
# Those that ask for another formula if they are set.
LORA_REFUSED = (
    "alora_invocation_tokens",
    "arrow_config",
    "kasa_config",
    "layer_replication",
    "layers_pattern",
    "lora_bias",
    "megatron_config",
    "monteclora_config",
    "target_parameters",
    "trainable_token_indices",
    "use_bdlora",
    "use_qalora",
    "velora_config",
)


def refuse_unknown(content, names):
    """Refuse fields that are set and mean what is not done here.

    Raises:
        CheckpointError: there are such.
    """
    found = [name for name in names if content.get(name)]
    if found:
        raise CheckpointError(
            f"adapter_config.json: {', '.join(found)} is set, which kerasft does not "
            "know how to run. Make the adapter without it."
        )


def targets_from(content):
    """`targets` of a config's `target_modules`.

    Raises:
        CheckpointError: it is neither a word nor a list of words.
    """
    found = content.get("target_modules")
    if isinstance(found, str):
        return found
    if isinstance(found, list) and all(isinstance(name, str) for name in found):
        return tuple(found)
    raise CheckpointError(
        "adapter_config.json: target_modules should be a name, a pattern or a list of "
        f"names; it is {found!r}."
    )
