"""What embeds texts, from a folder and into one: backbone, pooling, tokenizer."""

from dataclasses import dataclass

from kerasft._errors import CheckpointError
from kerasft.checkpoints.folders import CHECKPOINT_FILES, member
from kerasft.checkpoints.sentence_layout import (
    DOWNLOADED,
    LAYOUT_FILES,
    SentenceLayout,
    write_layout,
)
from kerasft.checkpoints.sentence_modules import read_layout
from kerasft.checkpoints.tensors import TensorReader
from kerasft.data.tokenizer import Tokenizer
from kerasft.layers.text_pooling import Pooling, Projection
from kerasft.models import pretrained
from kerasft.models.config import EncoderConfig
from kerasft.models.family import Family
from kerasft.tasks.loading import tokenizer_for
from kerasft.tasks.source import Source

OWN_FILES = (*CHECKPOINT_FILES, *LAYOUT_FILES)


@dataclass(frozen=True)
class EmbedderParts:
    """A folder that holds a backbone and, maybe, how its states are pooled.

    Args:
        source: where it is.
        layout: what follows the backbone.
        family: of the backbone.
        config: of the backbone.
        reader: the backbone's tensors.
        tokenizer: no longer than the layout, the model and the user want it.
    """

    source: Source
    layout: SentenceLayout
    family: Family
    config: EncoderConfig
    reader: TensorReader
    tokenizer: Tokenizer

    @classmethod
    def read(cls, checkpoint, revision, max_length):
        """Find a folder, or a name on the hub, and read all but the weights.

        Raises:
            CheckpointError: no such checkpoint, or nothing that is known here.
        """
        source = Source.find(checkpoint, revision, more=DOWNLOADED)
        folder = source.folder
        layout = read_layout(folder)
        root = member(folder, layout.backbone) if layout.backbone else folder
        family, config = pretrained.read_config(root)
        reader = TensorReader(root)
        tokenizer = tokenizer_for(root, config, None)
        if max_length is None and layout.max_length is not None:
            max_length = min(layout.max_length, tokenizer.max_length)
        tokenizer = tokenizer.shortened(max_length)
        return cls(source, layout, family, config, reader, tokenizer)

    @property
    def folder(self):
        """The checkpoint's folder."""
        return self.source.folder

    def built(self, pooling=None, normalise=None, name="head"):
        """Backbone and `Pooling`, without their weights.

        Args:
            pooling: goes before what the folder tells.
            normalise: as well.
            name: of the pooling.

        Raises:
            CheckpointError: its dense layer is for vectors of another width.
        """
        backbone = pretrained.empty_backbone(self.family, self.config, self.reader)
        layout, width = self.layout, self.config.hidden_size
        projection = None
        if layout.kernel is not None:
            if layout.kernel.shape[0] != width:
                raise CheckpointError(
                    f"{self.folder}: the dense layer takes vectors of "
                    f"{layout.kernel.shape[0]} numbers, the model's have {width}."
                )
            size, bias = layout.kernel.shape[1], layout.bias is not None
            projection = Projection(size, layout.activation, bias)
        head = Pooling(
            layout.pooling if pooling is None else pooling,
            layout.normalise if normalise is None else normalise,
            projection,
            name=name,
        )
        head.build((None, None, width))
        return backbone, head

    def load(self, backbone, pooling):
        """Fill what `built` gave, or what was saved here before."""
        pretrained.load_weights(self.reader, backbone)
        if pooling.dense:
            pooling.dense.kernel.assign(self.layout.kernel)
            if self.layout.bias is not None:
                pooling.dense.bias.assign(self.layout.bias)


def write_parts(folder, backbone, config, pooling, tokenizer, prompts):
    """Write all of it into an existing folder.

    Args:
        folder: where to; give one of `atomic_folder`.
        backbone: the `Backbone`.
        config: the backbone's, with what a head adds to it.
        pooling: the `Pooling`.
        tokenizer: the checkpoint's.
        prompts: name -> what a text of that kind begins with.
    """
    pretrained.write_model(folder, backbone, config=config)
    dense, projection = pooling.dense, pooling.projection
    layout = SentenceLayout(
        pooling.pooling,
        pooling.normalise,
        kernel=dense.kernel.numpy() if dense else None,
        bias=dense.bias.numpy() if dense and projection.bias else None,
        activation=projection.activation if projection else None,
        max_length=tokenizer.max_length,
        prompts=prompts,
    )
    write_layout(folder, layout, config.hidden_size)
    tokenizer.save(folder)
