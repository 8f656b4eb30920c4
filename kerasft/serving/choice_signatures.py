"""Write a chooser as a SavedModel: a text and several ways to go on in, the best out.

- `serving_default(context, question, choices)`: strings (batch,), (batch,) and
  (batch, choices), two or more of them. Out come `choice`, its `index` and `score`,
  each (batch,), and `scores`, (batch, choices), which are probabilities.
- `tokens(input_ids, attention_mask, token_type_ids)`: int32 (batch, choices, length) to
  `logits` and `scores`.

A question "" is none. A choice "" is not there, as rows may have different numbers of
them: its score is 0.
"""

from collections.abc import Callable
from pathlib import Path

import tensorflow as tf

from kerasft.layers.packing import packed_tokens
from kerasft.serving.saving import Limits, logits_of, save, tokens_function


def export_chooser(
    folder: str | Path,
    model,
    limits: Limits,
    graph=None,
    check: Callable[[Path], object] | None = None,
):
    """Write the SavedModel; `folder` holds the old one, or the whole new one.

    Args:
        folder: where to; an earlier export there is replaced.
        model: a `keras.Model`, dict of int32 (batch, choices, length) to logits.
        limits: of token ids.
        graph: a `TokenGraph`. Without one `serving_default` takes token ids.
        check: called with the new folder before it takes its place.
    """

    def serve(context, question, choices):
        with packed_tokens():
            logits = logits_of(model, choice_inputs(graph, context, question, choices))
        scores = tf.nn.softmax(logits)
        index = tf.argmax(scores, axis=-1, output_type=tf.int32)
        return {
            "choice": tf.gather(choices, index, batch_dims=1),
            "index": index,
            "score": tf.reduce_max(scores, axis=-1),
            "scores": scores,
        }

    def of_tokens(logits):
        return {"logits": logits, "scores": tf.nn.softmax(logits)}

    tokens = tokens_function(model, limits, of_tokens, axes=3)
    signatures = {"tokens": tokens, "serving_default": tokens}
    if graph:
        signatures["serving_default"] = tf.function(
            serve,
            [
                tf.TensorSpec([None], tf.string, name="context"),
                tf.TensorSpec([None], tf.string, name="question"),
                tf.TensorSpec([None, None], tf.string, name="choices"),
            ],
        )
    save(folder, model, signatures, graph, check=check)


def choice_inputs(graph, context, question, choices):
    """Each text with each of its choices, as `kerasft.data.choosing` has it.

    What is too long is cut from the end of the text; where a choice with its question
    is too long by itself, it loses its beginning.

    Args:
        graph: a `TokenGraph`.
        context: strings (batch,).
        question: strings (batch,), before each choice; "": none.
        choices: strings (batch, choices); "": not there.

    Returns:
        dict of `input_ids`, `attention_mask`, `token_type_ids`, each int32
        (batch, choices, length).

    Raises:
        tf.errors.InvalidArgumentError: there are not as many of each.
    """
    batch, count = tf.unstack(tf.shape(choices))
    as_many = tf.debugging.assert_equal(
        [tf.size(context), tf.size(question)],
        [batch] * 2,
        "A context, a question and a row of choices for each.",
    )
    with tf.device("CPU"), tf.control_dependencies([as_many]):
        before = tf.where(question == "", "", question + " ")
        seconds = before[:, tf.newaxis] + choices
        seconds = graph.token_ids(tf.reshape(seconds, [-1]))
        special = sum(len(piece.ids) for piece in graph.reference.pair)
        room = graph.max_length - special
        seconds = seconds[:, -room:]
        firsts = _beginnings(
            graph.token_ids(context),
            tf.repeat(tf.range(batch), count),
            room - seconds.row_lengths(),
        )
        inputs = graph.packed({"A": firsts, "B": seconds})
        shape = [batch, count, tf.shape(inputs["input_ids"])[1]]
        inputs = {name: tf.reshape(value, shape) for name, value in inputs.items()}
        there = tf.cast(choices != "", tf.int32)[..., tf.newaxis]
    return inputs | {"attention_mask": inputs["attention_mask"] * there}


def _beginnings(ragged, rows, most):
    """Some rows of a ragged tensor, each cut to its number of values at most."""
    begins = tf.gather(ragged.row_starts(), rows)
    lengths = tf.minimum(tf.gather(ragged.row_lengths(), rows), most)
    places = tf.ragged.range(begins, begins + lengths)
    return places.with_values(tf.gather(ragged.flat_values, places.flat_values))
