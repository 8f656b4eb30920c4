"""What tasks of plain texts share: a start from a checkpoint, or from nothing.

Labels that the rows may have are not looked at.
"""

from collections.abc import Mapping
from dataclasses import replace

from kerasft.checkpoints.locate import locate
from kerasft.models import family_of, pretrained
from kerasft.models.config import from_json
from kerasft.tasks.loading import (
    HeadPlan,
    precision_policy,
    raise_unless_head,
    tokenizer_for,
    vocabulary_of,
)
from kerasft.tasks.task import Task


class PlainTextTask(Task):
    """A task whose head scores the tokens of a vocabulary."""

    @classmethod
    def from_pretrained(
        cls,
        checkpoint,
        *,
        max_length: int | None = None,
        precision: str = "float32",
        revision: str | None = None,
        **options,
    ):
        """Load a checkpoint; its head of this kind is loaded if there is one.

        Args:
            checkpoint: a local folder or a name on the Hugging Face hub.
            max_length: the most tokens of an example; None: as many as the model takes.
            precision: "float32", "mixed_bfloat16" or "mixed_float16".
            revision: branch, tag or commit on the hub.
            **options: of the task.

        Raises:
            CheckpointError: no such checkpoint, or it does not fit the task.
            SettingsError: an unknown precision, or options that cannot be.
        """

        def plan_head(config, tensors):
            return HeadPlan(_unlabelled(config), config.vocab_size, options)

        return cls._load(checkpoint, revision, max_length, precision, plan_head)

    @classmethod
    def from_scratch(
        cls,
        config: Mapping,
        tokenizer,
        *,
        max_length: int | None = None,
        precision: str = "float32",
        **options,
    ):
        """Begin with random weights.

        Args:
            config: what `config.json` would say: `model_type` ("bert"), `hidden_size`,
                `num_hidden_layers`, ...; `vocab_size` is the tokenizer's if left out.
            tokenizer: folder or name on the Hugging Face hub of tokenizer files.
            max_length: the most tokens of an example; None: as many as the model takes.
            precision: "float32", "mixed_bfloat16" or "mixed_float16".
            **options: of the task.

        Raises:
            CheckpointError: the config lacks a size, or is of a family without this
                head; the tokenizer does not fit it.
            SettingsError: an unknown precision, or options that cannot be.
        """
        folder = locate(tokenizer)
        content = {"vocab_size": vocabulary_of(folder), **config}
        family = family_of(content)
        raise_unless_head(family, cls.head_name, "config")
        config = _unlabelled(from_json(family, content, "config"))
        tokenizer = tokenizer_for(folder, config, max_length)
        with precision_policy(precision):
            backbone = family.new_backbone(config)
            head = family.heads[cls.head_name].build(config, config.vocab_size)
            task = cls(backbone, head, tokenizer, **options)
        task.made_with = HeadPlan(config, config.vocab_size, options).as_data()
        task.fresh_weights = tuple(pretrained.weights_of(head))
        return task

    def label_array(self, rows):
        """None: labels are made with each batch."""

    def saved_config(self):
        """The backbone's config."""
        return self.backbone.config


def _unlabelled(config):
    return replace(config, labels=(), problem_type=None)
