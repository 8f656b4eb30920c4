"""A pretrained model without a head: token ids in, hidden states out.

`Backbone` is abstract: it knows files and names; a subclass knows the formula.
"""

import abc

import keras

from kerasft.checkpoints.folders import atomic_folder
from kerasft.checkpoints.locate import locate
from kerasft.checkpoints.tensors import TensorReader
from kerasft.models import pretrained
from kerasft.models.prompted import Prompted


class Backbone(Prompted, keras.Model, abc.ABC):
    """Hidden states (batch, length, width) of a dict of token ids (batch, length).

    The dict holds `input_ids` and, each optional, `attention_mask`,
    `token_type_ids`, `position_ids` and `sequence_ids` (packed rows). A subclass
    makes its layers and builds them, so the weights exist with the object.

    Args:
        family: the `Family` it belongs to.
        config: its numbers.
    """

    def __init__(self, family, config, **kwargs):
        super().__init__(**kwargs)
        self.family = family
        self.config = config

    @abc.abstractmethod
    def call(self, inputs, training=None, readers=None):
        """Compute the hidden states, of the first `readers` tokens or of all."""

    @property
    def token_table(self):
        """The token embedding's table (vocabulary, width), which decoders share."""
        return self.embedding.token_embedding.embeddings

    @classmethod
    def from_pretrained(cls, name_or_folder, revision=None):
        """Load a checkpoint, whatever its family; heads in it are left unread.

        Args:
            name_or_folder: a local folder or a name on the Hugging Face hub.
            revision: branch, tag or commit on the hub.

        Raises:
            CheckpointError: not found, not readable, or it does not fit its config.
        """
        folder = locate(name_or_folder, revision)
        family, config = pretrained.read_config(folder)
        reader = TensorReader(folder)
        backbone = pretrained.empty_backbone(family, config, reader)
        pretrained.load_weights(reader, backbone)
        return backbone

    def save_pretrained(self, folder):
        """Write a Hugging Face folder that `AutoModel` loads, whole or not at all."""
        with atomic_folder(folder) as new:
            pretrained.write_model(new, self)
