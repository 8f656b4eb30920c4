"""Likely tokens that are unlike the text so far: contrastive search.

Of the likeliest tokens the one is taken for which likelihood, less its likeness to the
tokens before, is highest; likeness is the largest cosine of hidden states.

Source: Su et al. 2022 (arXiv:2202.06417), section 4.2, equation 5.
"""

import keras
from keras import ops

from kerasft.sampling.cached import positions_of, reordered
from kerasft.sampling.decode import Decoding
from kerasft.sampling.samplers import NEVER, History, penalised, without_ends


class Contrastive(Decoding):
    """Generation by looking one token ahead, for each of `settings.top_k` candidates.

    The state holds the logits of the next token, and hidden states of the tokens
    before, of length 1.
    """

    def begin(self, ids, mask, rows, seed, capacity):
        """Read prompts, padded on the left; choose the first token of each."""
        count, width = ops.shape(ids)
        more = ((0, 0), (0, capacity - width))
        caches = self.decoder.empty(count, capacity)
        whole = ops.pad(mask, more)
        logits, hidden, caches = self.decoder.step(
            ids, whole, positions_of(mask), caches, 0
        )
        state = {
            "tokens": ops.pad(ids, more),
            "mask": whole,
            "rows": rows,
            "width": ops.convert_to_tensor(width, "int32"),
            "next": ops.convert_to_tensor(width, "int32"),
            "lengths": ops.sum(mask, axis=1),
            "finished": ops.zeros((count,), "bool"),
            "caches": caches,
            "logits": logits,
            "hidden": ops.pad(_unit(hidden), (*more, (0, 0))),
        }
        return self._stepped(state)

    def _stepped(self, state):
        """The state with the best candidate as its next token."""
        settings, place = self.settings, state["next"]
        made, many = place - state["width"], settings.top_k
        history = History(state["tokens"], state["mask"], place, state["width"])
        logits = penalised(state["logits"], settings, history)
        if settings.min_new_tokens:
            early = made < settings.min_new_tokens
            logits = without_ends(logits, self.end_ids, early)
        chances, candidates = ops.top_k(ops.softmax(logits), many)
        candidates = ops.cast(candidates, "int32")
        here = self._here(state, place)
        ahead, hidden, caches = self._looked_ahead(state, candidates, here)
        likeness = self._likeness(state, hidden)
        alpha = settings.penalty_alpha
        best = ops.argmax((1 - alpha) * chances - alpha * likeness, axis=-1)
        rows = ops.arange(ops.shape(candidates)[0], dtype="int32") * many
        rows = rows + ops.cast(best, "int32")
        ids = ops.take(ops.reshape(candidates, (-1,)), rows)
        return self._taken(state, ids, here) | {
            "caches": reordered(caches, rows),
            "logits": ops.take(ahead, rows, axis=0),
            "hidden": state["hidden"]
            + ops.take(hidden, rows, axis=0) * ops.cast(here, hidden.dtype)[:, None],
        }

    def _here(self, state, place):
        places = ops.arange(ops.shape(state["tokens"])[1], dtype="int32")
        return ops.cast(places == place, "int32")

    def _looked_ahead(self, state, candidates, here):
        """Each candidate run: logits, unit states (rows x candidates, 1, width)."""
        many = self.settings.top_k
        mask, lengths, caches = keras.tree.map_structure(
            lambda array: ops.repeat(array, many, axis=0),
            (ops.maximum(state["mask"], here), state["lengths"], state["caches"]),
        )
        ids = ops.reshape(candidates, (-1, 1))
        logits, hidden, caches = self.decoder.step(
            ids, mask, lengths[:, None], caches, state["next"]
        )
        return logits, _unit(hidden), caches

    def _likeness(self, state, hidden):
        """The largest cosine of each candidate with the tokens before."""
        many, width = self.settings.top_k, hidden.shape[-1]
        hidden = ops.reshape(hidden, (-1, many, width))
        cosines = ops.einsum("rcw,rlw->rcl", hidden, state["hidden"])
        real = ops.cast(state["mask"], "bool")[:, None]
        return ops.max(ops.where(real, cosines, NEVER), axis=-1)

    def _taken(self, state, ids, here):
        ids = ops.where(state["finished"], ops.cast(self.pad_id, "int32"), ids)
        ended = state["finished"]
        for end in self.end_ids:
            ended = ops.logical_or(ended, ops.equal(ids, end))
        return state | {
            "tokens": state["tokens"] * (1 - here) + ids[:, None] * here,
            "mask": ops.maximum(state["mask"], here),
            "next": state["next"] + 1,
            "lengths": state["lengths"] + 1,
            "finished": ended,
        }


def _unit(hidden):
    hidden = ops.cast(hidden, "float32")
    return hidden / ops.norm(hidden, axis=-1, keepdims=True)
