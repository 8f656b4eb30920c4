"""Write a model as a SavedModel: what every export has in common.

In goes a Keras model of token ids, and functions that become signatures; out comes a
folder that loads with `tensorflow` and `tensorflow_text` alone.

The trap: only variables are attached to what is saved. Attaching the Keras model would
save its Python face too, and loading would want Keras.
"""

import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import tensorflow as tf

from kerasft._errors import SettingsError
from kerasft.checkpoints.folders import atomic_folder

INPUTS = ("input_ids", "attention_mask", "token_type_ids")
SAVED_MODEL_FILES = (
    "saved_model.pb",
    "fingerprint.pb",
    "variables",
    "assets",
    "assets.extra",
)


@dataclass(frozen=True)
class Limits:
    """What token ids a model takes.

    Args:
        vocab_size: token ids are below it.
        max_length: tokens per row at most.
        type_vocab_size: token type ids are below it.
    """

    vocab_size: int
    max_length: int
    type_vocab_size: int = 2


def save(
    folder: str | Path,
    model,
    signatures: Mapping[str, Callable],
    graph: tf.Module | None = None,
    labels: Sequence[str] = (),
    check: Callable[[Path], object] | None = None,
):
    """Write the SavedModel; `folder` holds the old one, or the whole new one.

    Args:
        folder: where to; an earlier export there is replaced.
        model: its variables are kept.
        signatures: name -> `tf.function`.
        graph: a tokenizer graph that the functions use, or None.
        labels: written to `assets/labels.txt`, one a line, if there are any.
        check: called with the new folder before it takes its place; what it raises
            stops the export.
    """
    module = tf.Module()
    module.graph = graph
    module.state = [variable.value for variable in model.variables]
    with (
        tempfile.TemporaryDirectory() as place,
        atomic_folder(folder, "saved_model.pb", SAVED_MODEL_FILES) as new,
    ):
        if labels:
            path = Path(place, "labels.txt")
            path.write_text("".join(f"{label}\n" for label in labels), "utf-8")
            module.labels = tf.saved_model.Asset(str(path))
        tf.saved_model.save(
            module,
            str(new),
            dict(signatures),
            tf.saved_model.SaveOptions(experimental_custom_gradients=False),
        )
        if check:
            check(new)


def one_line_each(labels: Sequence[str]):
    """Refuse labels that a list with one a line cannot hold.

    Raises:
        SettingsError: names them.
    """
    broken = [label for label in labels if len(label.splitlines()) != 1]
    if broken:
        raise SettingsError(
            f"Labels are written one a line, but {broken[:5]} are not one line "
            "each. Rename them in the data."
        )


def tokens_function(model, limits: Limits, answers: Callable, axes: int = 2):
    """A function of token ids, mask and types, which are checked.

    Args:
        model: dict of int32 (batch, length) to logits.
        limits: what it takes.
        answers: logits -> dict of tensors.
        axes: 3 for a model of (batch, choices, length).
    """

    def serve(*tokens):
        inputs = dict(zip(INPUTS, tokens, strict=True))
        with tf.control_dependencies(_checks(inputs, limits)):
            logits = tf.identity(logits_of(model, inputs))
        return answers(logits)

    shape = [None] * axes
    return tf.function(
        serve, [tf.TensorSpec(shape, tf.int32, name=name) for name in INPUTS]
    )


def logits_of(model, inputs):
    """What the model gives without training, float32."""
    return tf.cast(model(inputs, training=False), tf.float32)


def _checks(inputs, limits):
    ids, mask, types = (inputs[name] for name in INPUTS)
    return [
        tf.debugging.assert_equal(
            [tf.shape(mask), tf.shape(types)],
            [tf.shape(ids)] * 2,
            "input_ids, attention_mask and token_type_ids differ in shape.",
        ),
        tf.debugging.assert_less_equal(
            tf.shape(ids)[-1],
            limits.max_length,
            f"A row has more than the {limits.max_length} tokens the model can take.",
        ),
        _assert_below(limits.vocab_size, ids, "input_ids"),
        _assert_below(limits.type_vocab_size, types, "token_type_ids"),
        _assert_below(2, mask, "attention_mask"),
    ]


def _assert_below(size, tensor, name):
    return tf.debugging.Assert(
        tf.reduce_all((tensor >= 0) & (tensor < size)),
        [f"{name} must be 0 to {size - 1} for this model, but holds", tensor],
    )
