"""Load what embeds texts from a folder: backbone, pooling, tokenizer."""

from kerasft._errors import CheckpointError
from kerasft.checkpoints.folders import member
from kerasft.checkpoints.sentence_layout import SentenceLayout
from kerasft.checkpoints.sentence_modules import read_layout
from kerasft.checkpoints.tensors import TensorReader
from kerasft.layers.text_pooling import Pooling, Projection
from kerasft.models import pretrained
from kerasft.tasks.loading import precision_policy, tokenizer_for


def load_embedder(task_class, folder, pooling, normalise, max_length, precision):
    """A `TextEmbedder` of a local folder; see its `from_pretrained`."""
    layout = read_layout(folder)
    root = member(folder, layout.backbone) if layout.backbone else folder
    family, config = pretrained.read_config(root)
    reader = TensorReader(root)
    tokenizer = tokenizer_for(root, config, None)
    if max_length is None and layout.max_length is not None:
        max_length = min(layout.max_length, tokenizer.max_length)
    with precision_policy(precision):
        backbone = pretrained.empty_backbone(family, config, reader)
        head = pooling_of(layout, config, folder, pooling, normalise)
        tokenizer = tokenizer.shortened(max_length)
        # Here, because Keras scales the loss by the task's own precision.
        task = task_class(backbone, head, tokenizer, layout.prompts)
    pretrained.load_weights(reader, backbone)
    assign_dense(head, layout)
    return task


def pooling_of(layout, config, folder, pooling=None, normalise=None):
    """The built `Pooling` of a layout; what is given goes before what it tells.

    Raises:
        CheckpointError: its dense layer is for vectors of another width.
    """
    width, projection = config.hidden_size, None
    if layout.kernel is not None:
        if layout.kernel.shape[0] != width:
            raise CheckpointError(
                f"{folder}: the dense layer takes vectors of "
                f"{layout.kernel.shape[0]} numbers, the model's have {width}."
            )
        size, bias = layout.kernel.shape[1], layout.bias is not None
        projection = Projection(size, layout.activation, bias)
    head = Pooling(
        layout.pooling if pooling is None else pooling,
        layout.normalise if normalise is None else normalise,
        projection,
        name="head",
    )
    head.build((None, None, width))
    return head


def assign_dense(head, layout):
    """Fill the dense layer after the pooling, where there is one."""
    if head.dense:
        head.dense.kernel.assign(layout.kernel)
        if layout.bias is not None:
            head.dense.bias.assign(layout.bias)


def layout_of(head, max_length, prompts) -> SentenceLayout:
    """What `write_layout` needs, of a `Pooling`."""
    dense, projection = head.dense, head.projection
    return SentenceLayout(
        head.pooling,
        head.normalise,
        kernel=dense.kernel.numpy() if dense else None,
        bias=dense.bias.numpy() if dense and projection.bias else None,
        activation=projection.activation if projection else None,
        max_length=max_length,
        prompts=prompts,
    )


def reload(backbone, head, folder):
    """Fill backbone and pooling from a folder that was saved from them."""
    pretrained.load_weights(TensorReader(folder), backbone)
    assign_dense(head, read_layout(folder))
