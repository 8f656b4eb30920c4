"""Write a classifier as a SavedModel: strings in, labels out.

In goes a Keras model that turns token ids into logits, and the tokenizer graph; out
comes a folder that loads with `tensorflow` and `tensorflow_text` alone:

- `serving_default(text)`, or `(text, text_pair)`: `label`, `score`, `probabilities`;
- `tokens(input_ids, attention_mask, token_type_ids)`: `logits`, `probabilities`;
- `assets/labels.txt`: the label names in the order of `probabilities`, one a line.

With several labels per text `label` is the likeliest one, and `chosen` says which
have at least 0.5. Regression gives `value` instead of all of these.

The trap: only variables are attached to what is saved. Attaching the Keras model would
save its Python face too, and loading would want Keras.
"""

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import tensorflow as tf

from kerasft._errors import SettingsError
from kerasft.checkpoints.folders import atomic_folder
from kerasft.layers.gradient import without_gradients
from kerasft.layers.packing import packed_tokens

INPUTS = ("input_ids", "attention_mask", "token_type_ids")
PROBLEMS = ("single_label", "multi_label", "regression")
SAVED_MODEL_FILES = (
    "saved_model.pb",
    "fingerprint.pb",
    "variables",
    "assets",
    "assets.extra",
)


@dataclass(frozen=True)
class ClassifierFace:
    """What a served classifier shows and what it takes.

    Args:
        labels: names in the order of the logits; empty for regression.
        problem: "single_label", "multi_label" or "regression".
        vocab_size: token ids are below it.
        max_length: tokens per row at most.
        type_vocab_size: token type ids are below it.
        pairs: two texts per row.
    """

    labels: tuple[str, ...]
    problem: str
    vocab_size: int
    max_length: int
    type_vocab_size: int = 2
    pairs: bool = False

    def __post_init__(self):
        if self.problem not in PROBLEMS:
            raise SettingsError(
                f"problem is {self.problem!r}. Give one of {', '.join(PROBLEMS)}."
            )
        broken = [label for label in self.labels if len(label.splitlines()) != 1]
        if broken:
            raise SettingsError(
                f"Labels are written one a line, but {broken[:5]} are not one line "
                "each. Rename them in the data."
            )
        if self.problem != "regression" and not self.labels:
            raise SettingsError("A classifier needs labels. Give their names.")


def export_classifier(
    folder: str | Path,
    model,
    face: ClassifierFace,
    graph=None,
    check: Callable[[Path], object] | None = None,
):
    """Write the SavedModel; `folder` holds the old one, or the whole new one.

    Args:
        folder: where to; an earlier export there is replaced.
        model: a `keras.Model`, dict of int32 (batch, length) to logits.
        face: what it takes and shows.
        graph: a `WordPieceGraph`. Without one there are no strings to serve, and
            `serving_default` takes token ids.
        check: called with the new folder before it takes its place; what it raises
            stops the export. See `verify.verify_export`.
    """
    module = tf.Module()
    module.graph = graph
    module.state = [variable.value for variable in model.variables]
    signatures = {"tokens": _tokens_signature(model, face)}
    signatures["serving_default"] = (
        _text_signature(model, face, graph) if graph else signatures["tokens"]
    )
    with (
        tempfile.TemporaryDirectory() as place,
        atomic_folder(folder, "saved_model.pb", SAVED_MODEL_FILES) as new,
    ):
        if face.labels:
            path = Path(place, "labels.txt")
            path.write_text("".join(f"{label}\n" for label in face.labels), "utf-8")
            module.labels = tf.saved_model.Asset(str(path))
        tf.saved_model.save(
            module,
            str(new),
            signatures,
            tf.saved_model.SaveOptions(experimental_custom_gradients=False),
        )
        if check:
            check(new)


def _text_signature(model, face, graph):
    names = ("text", "text_pair") if face.pairs else ("text",)

    def serve(*texts):
        with packed_tokens():
            logits = _logits(model, graph(*texts))
        return _answers(logits, face)

    return tf.function(
        serve, [tf.TensorSpec([None], tf.string, name=name) for name in names]
    )


def _tokens_signature(model, face):
    def serve(*tokens):
        inputs = dict(zip(INPUTS, tokens, strict=True))
        with tf.control_dependencies(_checks(inputs, face)):
            logits = tf.identity(_logits(model, inputs))
        if face.problem == "regression":
            return {"value": _value(logits)}
        return {"logits": logits, "probabilities": _probabilities(logits, face)}

    return tf.function(
        serve, [tf.TensorSpec([None, None], tf.int32, name=name) for name in INPUTS]
    )


def _checks(inputs, face):
    ids, mask, types = (inputs[name] for name in INPUTS)
    return [
        tf.debugging.assert_equal(
            [tf.shape(mask), tf.shape(types)],
            [tf.shape(ids)] * 2,
            "input_ids, attention_mask and token_type_ids differ in shape.",
        ),
        tf.debugging.assert_less_equal(
            tf.shape(ids)[1],
            face.max_length,
            f"A row has more than the {face.max_length} tokens the model can take.",
        ),
        _assert_below(face.vocab_size, ids, "input_ids"),
        _assert_below(face.type_vocab_size, types, "token_type_ids"),
        _assert_below(2, mask, "attention_mask"),
    ]


def _assert_below(size, tensor, name):
    return tf.debugging.Assert(
        tf.reduce_all((tensor >= 0) & (tensor < size)),
        [f"{name} must be 0 to {size - 1} for this model, but holds", tensor],
    )


def _logits(model, inputs):
    with without_gradients():
        return tf.cast(model(inputs, training=False), tf.float32)


def _probabilities(logits, face):
    return (tf.sigmoid if face.problem == "multi_label" else tf.nn.softmax)(logits)


def _value(logits):
    return logits[:, 0] if logits.shape[-1] == 1 else logits


def _answers(logits, face):
    if face.problem == "regression":
        return {"value": _value(logits)}
    probabilities = _probabilities(logits, face)
    answers = {
        "label": tf.gather(list(face.labels), tf.argmax(probabilities, axis=-1)),
        "score": tf.reduce_max(probabilities, axis=-1),
        "probabilities": probabilities,
    }
    if face.problem == "multi_label":
        answers["chosen"] = probabilities >= 0.5
    return answers
