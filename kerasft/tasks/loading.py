"""What every task does when it is loaded: its plan, its precision, its tokenizer."""

from contextlib import contextmanager
from dataclasses import dataclass, field, replace

import keras

from kerasft._errors import CheckpointError, SettingsError
from kerasft.data.tokenizer import Tokenizer

PRECISIONS = ("float32", "mixed_bfloat16", "mixed_float16")


@dataclass(frozen=True)
class HeadPlan:
    """What a task makes of a checkpoint.

    Args:
        config: the checkpoint's, as the task wants it.
        size: of the head.
        arguments: of the task.
        new_layers: layers of the head that are not to be loaded.
        options: of `Head.build`.
    """

    config: object
    size: int
    arguments: dict = field(default_factory=dict)
    new_layers: tuple[str, ...] = ()
    options: dict = field(default_factory=dict)

    def as_data(self):
        """Size and arguments, as a `.keras` file holds them."""
        given = bool(self.options)
        return {"size": self.size, "arguments": self.arguments, "options": given}


@contextmanager
def precision_policy(name):
    """Within the block, new layers have this dtype policy."""
    if name not in PRECISIONS:
        raise SettingsError(f"precision is {name!r}; known: {', '.join(PRECISIONS)}.")
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(name)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


def raise_unless_head(family, head_name, folder):
    """Refuse a family that lacks the head.

    Raises:
        CheckpointError: it does.
    """
    if head_name not in family.heads:
        raise CheckpointError(
            f"{folder}: {family.model_type} has no head for {head_name}; it has: "
            f"{', '.join(family.heads)}."
        )


def with_padding(config):
    """The config with the end of text for padding, if it has none of its own.

    `transformers` looks for the last token that is not padding, and so needs one.
    """
    end = config.extra.get("eos_token_id")
    end = end[0] if isinstance(end, list) and end else end
    if config.pad_token_id is not None or type(end) is not int:
        return config
    return replace(config, pad_token_id=end) if end < config.vocab_size else config


def vocabulary_of(folder):
    """How many ids the folder's tokenizer has."""
    return Tokenizer.from_pretrained(folder, max_length=1).vocab_size


def tokenizer_for(folder, config, max_length):
    """The folder's tokenizer, no longer than the model's positions reach."""
    tokenizer = Tokenizer.from_pretrained(
        folder, config.num_positions, config.pad_token_id or 0
    )
    if tokenizer.vocab_size > config.vocab_size:
        raise CheckpointError(
            f"{folder}: the tokenizer has {tokenizer.vocab_size} ids but the model "
            f"only {config.vocab_size}. They do not belong together; copy the "
            "tokenizer files from where the model came."
        )
    return tokenizer.shortened(max_length)
