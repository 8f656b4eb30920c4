"""Likely tokens that are unlike the text so far: contrastive search.

Of the likeliest tokens the one is taken for which likelihood, less its likeness to the
tokens before, is highest; likeness is the largest cosine of hidden states.

Source: Su et al. 2022 (arXiv:2202.06417), section 4.2, equation 5.
"""

import keras
from keras import ops

from kerasft.sampling.cached import reordered
from kerasft.sampling.decode import Decoding
from kerasft.sampling.samplers import NEVER


class Contrastive(Decoding):
    """Generation by looking one token ahead, for each of `settings.top_k` candidates.

    The state holds the logits of the next token, and hidden states of the tokens
    before, of length 1.
    """

    def begin(self, ids, mask, rows, seed, capacity):
        """Read prompts, padded on the left; choose the first token of each."""
        state, logits, hidden = self._read(ids, mask, capacity, readers=None)
        more = ((0, 0), (0, capacity - ops.shape(ids)[1]), (0, 0))
        hidden = ops.pad(_unit(hidden), more)
        return self._stepped(state | {"logits": logits, "hidden": hidden})

    def _stepped(self, state, head=None):
        """The state with the best candidate as its next token."""
        alpha, many = self.settings.penalty_alpha, self.settings.top_k
        logits = self._allowed(state, state["logits"])
        chances, candidates = ops.top_k(ops.softmax(logits), many)
        candidates = ops.cast(candidates, "int32")
        here = self._here(state)
        ahead, hidden, caches = self._looked_ahead(state, candidates, here, head)
        likeness = self._likeness(state, hidden)
        best = ops.argmax((1 - alpha) * chances - alpha * likeness, axis=-1)
        rows = ops.arange(ops.shape(candidates)[0], dtype="int32") * many
        rows = rows + ops.cast(best, "int32")
        ids = ops.take(ops.reshape(candidates, (-1,)), rows)
        return self._taken(state, ids) | {
            "caches": reordered(caches, rows),
            "logits": ops.take(ahead, rows, axis=0),
            "hidden": state["hidden"]
            + ops.take(hidden, rows, axis=0) * ops.cast(here, hidden.dtype)[:, None],
        }

    def _looked_ahead(self, state, candidates, here, head):
        """Each candidate run: logits, unit states (rows x candidates, 1, width)."""
        many = self.settings.top_k
        mask, lengths, caches = keras.tree.map_structure(
            lambda array: ops.repeat(array, many, axis=0),
            (ops.maximum(state["mask"], here), state["lengths"], state["caches"]),
        )
        ids = ops.reshape(candidates, (-1, 1))
        logits, hidden, caches = self.decoder.step(
            ids, mask, lengths[:, None], caches, state["next"], head
        )
        return logits, _unit(hidden), caches

    def _likeness(self, state, hidden):
        """The largest cosine of each candidate with the tokens before."""
        many, width = self.settings.top_k, hidden.shape[-1]
        hidden = ops.reshape(hidden, (-1, many, width))
        cosines = ops.einsum("rcw,rlw->rcl", hidden, state["hidden"])
        real = ops.cast(state["mask"], "bool")[:, None]
        return ops.max(ops.where(real, cosines, NEVER), axis=-1)


def _unit(hidden):
    hidden = ops.cast(hidden, "float32")
    return hidden / ops.norm(hidden, axis=-1, keepdims=True)
