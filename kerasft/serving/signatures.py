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

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import tensorflow as tf

from kerasft._errors import SettingsError
from kerasft.layers.packing import packed_tokens
from kerasft.serving.saving import (
    Limits,
    logits_of,
    one_line_each,
    save,
    tokens_function,
)

PROBLEMS = ("single_label", "multi_label", "regression")


@dataclass(frozen=True)
class ClassifierFace:
    """What a served classifier shows and what it takes.

    Args:
        labels: names in the order of the logits; empty for regression.
        problem: "single_label", "multi_label" or "regression".
        limits: of token ids.
        pairs: two texts per row.
    """

    labels: tuple[str, ...]
    problem: str
    limits: Limits
    pairs: bool = False

    def __post_init__(self):
        if self.problem not in PROBLEMS:
            raise SettingsError(
                f"problem is {self.problem!r}. Give one of {', '.join(PROBLEMS)}."
            )
        one_line_each(self.labels)
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
        graph: a `TokenGraph`. Without one there are no strings to serve, and
            `serving_default` takes token ids.
        check: called with the new folder before it takes its place; what it raises
            stops the export. See `verify.verify_export`.
    """
    tokens = tokens_function(
        model, face.limits, lambda logits: _token_answers(logits, face)
    )
    signatures = {"tokens": tokens, "serving_default": tokens}
    if graph:
        signatures["serving_default"] = _text_signature(model, face, graph)
    save(folder, model, signatures, graph, face.labels, check)


def _text_signature(model, face, graph):
    names = ("text", "text_pair") if face.pairs else ("text",)

    def serve(*texts):
        with packed_tokens():
            logits = logits_of(model, graph(*texts))
        return _answers(logits, face)

    return tf.function(
        serve, [tf.TensorSpec([None], tf.string, name=name) for name in names]
    )


def _token_answers(logits, face):
    if face.problem == "regression":
        return {"value": _value(logits)}
    return {"logits": logits, "probabilities": _probabilities(logits, face)}


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
