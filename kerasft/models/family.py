"""What a model family is: its numbers, its names, its heads, as data.

A family adds no code of its own where only numbers and names differ. Everything that
loads, saves, swaps or tests models reads these fields.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Head:
    """What a task puts on a family's backbone."""

    build: Callable
    """(config, size) -> a built layer: hidden states in, logits out."""
    rows: tuple[tuple[str, str], ...]
    """Name rows; theirs written in full, with the backbone's prefix where it has it."""
    architecture: str
    """End of the `transformers` class name: "ForSequenceClassification"."""
    pretrained: tuple[str, ...] = ()
    """Layers that pretraining gave to the checkpoint, though no head is there yet."""
    tied: str | None = None
    """Their key of a matrix that is the token embedding's table, if a file has it."""


@dataclass(frozen=True)
class Family:
    """One family of models; `FAMILIES` holds them by model type."""

    model_type: str
    """As in config.json."""
    architecture: str
    """Start of the `transformers` class names: "Bert"."""
    prefix: str
    """What a headed checkpoint puts before the backbone's keys: "bert."."""
    config_class: type
    backbone_class: type
    config_rows: tuple[tuple[str, str], ...]
    """Our config field <-> theirs."""
    rows: tuple[tuple[str, str], ...]
    """Our layer <-> theirs, with the prefix; `{i}` is the block."""
    size_rows: tuple[tuple[str, str, int], ...]
    """(config field, our weight, axis): where a size shows in the file's header."""
    heads: Mapping[str, Head]
    defaults: Mapping = field(default_factory=dict)
    """Config fields that config.json may leave out, or that the family fixes."""
    only: Mapping = field(default_factory=dict)
    """Fields of config.json with the one value that the formula here covers."""
    read_more: Callable = lambda content, problems: {}
    """(config.json, list of problems to add to) -> our fields that no row gives."""
    write_more: Callable = lambda config: {}
    """config -> the fields of config.json that `read_more` reads."""

    def new_backbone(self, config, **kwargs):
        """Make a backbone with new random weights."""
        return self.backbone_class(self, config, **kwargs)
