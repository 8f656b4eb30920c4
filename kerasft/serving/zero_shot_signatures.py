"""Write labels that nobody trained for as a SavedModel: strings in, labels out.

`serving_default(text)`: `label` and `score`, (texts,), and `scores`, (texts, labels),
as `ZeroShotClassifier` has them; where any number of labels may hold, also `chosen`,
(texts, labels): which have at least 0.5. `assets/labels.txt` has the names in the order
of `scores`, one a line.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tensorflow as tf

from kerasft.layers.packing import packed_tokens
from kerasft.serving.saving import logits_of, one_line_each, save


@dataclass(frozen=True)
class ZeroShotFace:
    """What a served zero-shot classifier shows, and how it tells.

    Args:
        labels: names in the order of the scores.
        sentences: what each label says.
        vectors: of the sentences, float32 (labels, size), each of length 1: labels are
            told by nearness. None: by entailment.
        columns: numbers of the logits against, and for, that a sentence follows.
        multi_label: whether any number of labels may hold.
    """

    labels: tuple[str, ...]
    sentences: tuple[str, ...]
    vectors: np.ndarray | None = None
    columns: tuple[int, int] | None = None
    multi_label: bool = False

    def __post_init__(self):
        one_line_each(self.labels)


def export_zero_shot(
    folder: str | Path,
    model,
    face: ZeroShotFace,
    graph,
    check: Callable[[Path], object] | None = None,
):
    """Write the SavedModel; `folder` holds the old one, or the whole new one.

    Args:
        folder: where to; an earlier export there is replaced.
        model: a `keras.Model`, dict of int32 (batch, length) to vectors, or to logits
            of pairs.
        face: what it shows.
        graph: a `TokenGraph`.
        check: called with the new folder before it takes its place.
    """
    scores_of = _entailments if face.vectors is None else _nearness

    def serve(text):
        scores = scores_of(model, face, graph, text)
        answers = {
            "label": tf.gather(list(face.labels), tf.argmax(scores, axis=-1)),
            "score": tf.reduce_max(scores, axis=-1),
            "scores": scores,
        }
        return answers | ({"chosen": scores >= 0.5} if face.multi_label else {})

    text = tf.function(serve, [tf.TensorSpec([None], tf.string, name="text")])
    save(folder, model, {"serving_default": text}, graph, face.labels, check)


def _nearness(model, face, graph, text):
    """Cosines of texts with all sentences."""
    with packed_tokens():
        vectors = logits_of(model, graph(text))
    length = tf.norm(vectors, axis=-1, keepdims=True)
    vectors /= tf.maximum(length, 1e-12)
    return tf.matmul(vectors, tf.constant(face.vectors), transpose_b=True)


def _entailments(model, face, graph, text):
    """How surely each sentence follows from each text."""
    with tf.device("CPU"):
        count, labels = tf.size(text), len(face.labels)
        firsts = tf.repeat(tf.range(count), labels)
        seconds = tf.tile(tf.range(labels), [count])
        texts = {
            "A": tf.gather(graph.token_ids(text), firsts),
            "B": tf.gather(graph.token_ids(tf.constant(face.sentences)), seconds),
        }
        inputs = graph.packed(texts)
    with packed_tokens():
        logits = logits_of(model, inputs)
    logits = tf.reshape(logits, [count, labels, logits.shape[-1]])
    against, follows = (logits[..., column] for column in face.columns)
    if face.multi_label or labels == 1:
        return tf.nn.softmax(tf.stack([against, follows], axis=-1))[..., 1]
    return tf.nn.softmax(follows)
