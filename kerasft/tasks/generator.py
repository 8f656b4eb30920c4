"""The small masked-language model beside a discriminator, as ELECTRA has it.

Source: Clark et al. 2020 (arXiv:2003.10555), section 3.1.
"""

from dataclasses import replace

from keras import ops

from kerasft._errors import CheckpointError, SettingsError
from kerasft.models import pretrained
from kerasft.tasks.masked_lm import MaskedLM


def generator_config(folder, family):
    """The config of a generator's folder.

    Raises:
        CheckpointError: it is of another family than the discriminator's `family`.
    """
    its_family, config = pretrained.read_config(folder)
    if its_family is not family:
        raise CheckpointError(
            f"{folder}: is a generator of {its_family.model_type}, the discriminator "
            f"is of {family.model_type}. Give two that are of one family."
        )
    return config


def narrower(config, share):
    """A config with fewer attention heads, and narrower in proportion.

    Raises:
        SettingsError: `share` is not in (0, 1].
    """
    if not 0 < share <= 1:
        raise SettingsError(f"generator_share is {share}; it must be in (0, 1].")
    heads = max(1, round(share * config.num_heads))
    return replace(
        config,
        num_heads=heads,
        hidden_size=heads * config.hidden_size // config.num_heads,
        intermediate_size=heads * config.intermediate_size // config.num_heads,
    )


def new_generator(config, backbone, tokenizer):
    """A `MaskedLM` with random weights; the backbone's tables, if they are alike."""
    family = backbone.family
    sizes = ("vocab_size", "embedding_size", "max_position_embeddings")
    alike = [getattr(config, n) == getattr(backbone.config, n) for n in sizes]
    alike.append(config.type_vocab_size == backbone.config.type_vocab_size)
    shared = backbone.embedding if all(alike) else None
    own = family.new_backbone(config, shared=shared)
    head = family.heads[MaskedLM.head_name].build(config, config.vocab_size)
    return MaskedLM(own, head, tokenizer, name="generator")


def load_generator(task, reader):
    """Fill the generator; shared tables stay the discriminator's.

    Returns:
        Paths of the head's weights that the file does not have.
    """
    generator = task.generator
    own = {id(weight) for weight in task.backbone.weights}
    shared = [weight for weight in generator.weights if id(weight) in own]
    kept = [ops.convert_to_numpy(weight) for weight in shared]
    report = pretrained.load_weights(
        reader, generator.backbone, generator.head_name, generator.head
    )
    for weight, value in zip(shared, kept, strict=True):
        weight.assign(value)
    return report.fresh
