"""Write an embedder as a SavedModel: strings in, vectors out.

- `serving_default(text)`: `embedding`, float32 (texts, size);
- `tokens(input_ids, attention_mask, token_type_ids)`: the same.
"""

from collections.abc import Callable
from pathlib import Path

import tensorflow as tf

from kerasft.layers.packing import packed_tokens
from kerasft.serving.saving import Limits, logits_of, save, tokens_function


def export_embedder(
    folder: str | Path,
    model,
    limits: Limits,
    graph=None,
    check: Callable[[Path], object] | None = None,
):
    """Write the SavedModel; `folder` holds the old one, or the whole new one.

    Args:
        folder: where to; an earlier export there is replaced.
        model: a `keras.Model`, dict of int32 (batch, length) to vectors.
        limits: of token ids.
        graph: a `TokenGraph`. Without one `serving_default` takes token ids.
        check: called with the new folder before it takes its place.
    """

    def serve(text):
        with packed_tokens():
            return {"embedding": logits_of(model, graph(text))}

    tokens = tokens_function(model, limits, lambda vectors: {"embedding": vectors})
    signatures = {"tokens": tokens, "serving_default": tokens}
    if graph:
        signatures["serving_default"] = tf.function(
            serve, [tf.TensorSpec([None], tf.string, name="text")]
        )
    save(folder, model, signatures, graph, check=check)
