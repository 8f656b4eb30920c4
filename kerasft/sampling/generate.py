"""Prompts to texts, in blocks of tokens, so that one can look in between."""

from dataclasses import replace

import keras
import numpy as np

from kerasft.sampling.beams import BeamSearch
from kerasft.sampling.cached import widened
from kerasft.sampling.contrastive import Contrastive
from kerasft.sampling.decode import Decoding

BLOCK = 64
# Along which of its axes each part of the state has places for tokens.
PLACES = {"tokens": 1, "mask": 1, "hidden": 1, "best": 2, "caches": 2}


def way_of(settings):
    """The kind of generation that these `Sampling` settings ask for."""
    if settings.num_beams > 1:
        return BeamSearch
    return Contrastive if settings.penalty_alpha else Decoding


def traced(settings):
    """The settings that a compiled loop depends on; others may differ from these."""
    kept = {"seed": 0, "stop": (), "num_return_sequences": 1}
    if settings.num_beams == 1:
        kept["max_new_tokens"] = max(1, settings.min_new_tokens)
    return replace(settings, **kept)


class Generation:
    """Compiled generation, for all settings that have the same `traced` ones.

    Args:
        decoder: a `CachedDecoder`.
        settings: `Sampling`.
        end_ids: tokens that end a text.
        pad_id: fills up prompts, and texts behind their end.
    """

    def __init__(self, decoder, settings, end_ids, pad_id):
        way = way_of(settings)(decoder, settings, end_ids, pad_id)
        self.end_ids = tuple(end_ids)
        self.pad_id = pad_id
        self._begin = compiled(way.begin, decoder.owner, sized=True)
        self._advance = compiled(way.advance, decoder.owner)

    def blocks(self, prompts, rows, settings, size=BLOCK):
        """Generate, `size` tokens at a time.

        Args:
            prompts: list of lists of ids, none empty.
            rows: number of each, which the choices depend on.
            settings: `Sampling`.
            size: tokens of a block.

        Yields:
            The ids made so far, a list for each text, without what ends it: texts of
            one prompt behind one another. Send a bool for each row to end rows.
        """
        ids, mask = left_padded(prompts, self.pad_id)
        width, most = ids.shape[1], settings.max_new_tokens
        made, capacity = 1, width + min(most, BLOCK)
        numbers = np.asarray(rows, "int32")
        seed = np.uint32(settings.seed)
        state = self._begin(ids, mask, numbers, seed, np.int32(capacity))
        while True:
            ended = yield self._texts(state, width, settings.num_return_sequences)
            if ended is not None:
                state = state | {"finished": state["finished"] | np.asarray(ended)}
            if made >= most or bool(np.all(state["finished"])):
                return
            count = min(size, most - made, BLOCK)
            if width + made + count > capacity:
                capacity = min(width + most, capacity + BLOCK)
                state = with_room(state, capacity)
            state = self._advance(state, np.int32(count))
            made = int(state["next"]) - width

    def _texts(self, state, width, best_of):
        """Ids of each text, up to its end; of beams the best so many of a prompt."""
        if "best" not in state:
            tokens = np.asarray(state["tokens"])[:, width : int(state["next"])]
            return [self._cut(row) for row in tokens.tolist()]
        best = np.asarray(state["best"])[:, :, width : int(state["next"])]
        best = best[:, :best_of]
        scores = np.asarray(state["best_scores"])
        if not (scores[:, 0] > -1e8).all() or not np.all(state["finished"]):
            return [[] for _ in range(best.shape[0] * best.shape[1])]
        return [self._cut(row) for texts in best.tolist() for row in texts]

    def _cut(self, row):
        ends = [i for i, token in enumerate(row) if token in self.end_ids]
        return row[: ends[0]] if ends else row


def left_padded(prompts, pad_id):
    """Ids and mask, int32 (prompts, width)."""
    width = max(map(len, prompts))
    ids = np.full((len(prompts), width), pad_id, "int32")
    mask = np.zeros_like(ids)
    for i, prompt in enumerate(prompts):
        ids[i, width - len(prompt) :] = prompt
        mask[i, width - len(prompt) :] = 1
    return ids, mask


def with_room(state, capacity):
    """The state with places for so many tokens."""
    more = capacity - state["tokens"].shape[1]
    if more <= 0:
        return state

    def grown(name, part):
        return keras.tree.map_structure(
            lambda array: widened(array, more, PLACES[name]), part
        )

    return {k: grown(k, v) if k in PLACES else v for k, v in state.items()}


def compiled(function, layer, sized=False):
    """The function as a graph, where the backend has graphs.

    Args:
        function: of tensors.
        layer: the Keras layer whose variables it reads.
        sized: whether shapes depend on its arguments' values, which JAX cannot compile.
    """
    backend = keras.backend.backend()
    if backend == "tensorflow":
        from kerasft.sampling.compiled_tensorflow import graph

        return graph(function)
    if backend == "jax" and not sized:
        from kerasft.sampling.compiled_jax import graph

        return graph(function, layer)
    return function
