"""The likeliest text, searched among several that are followed side by side.

Results equal those of `transformers`: from the best continuations of all beams as many
go on as do not end; ended ones are ranked by log-likelihood over length to a power, and
the search stops where no running beam can outdo the worst of the best.

Source: Wu et al. 2016 (arXiv:1609.08144), section 7, for the length.
"""

import keras
from keras import ops

from kerasft.sampling.cached import reordered
from kerasft.sampling.decode import Decoding
from kerasft.sampling.samplers import NEVER


class BeamSearch(Decoding):
    """Generation by `settings.num_beams` beams.

    The state's rows are those of all beams, those of a prompt behind one another.
    """

    @property
    def beams(self):
        """How many each prompt has."""
        return self.settings.num_beams

    def begin(self, ids, mask, rows, seed, capacity):
        """Read prompts, padded on the left, (prompts, width); choose first tokens."""
        count, beams = ops.shape(ids)[0], self.beams
        state, logits, _ = self._read(ids, mask, capacity)
        each = {name: state[name] for name in ("tokens", "mask", "lengths", "caches")}
        each, logits = keras.tree.map_structure(
            lambda array: ops.repeat(array, beams, axis=0), (each, logits)
        )
        first = ops.arange(beams)[None] == 0
        state |= each
        state |= {
            # One beam at first, or all would be the same.
            "scores": ops.where(first, ops.zeros((count, beams)), NEVER),
            "best": ops.reshape(state["tokens"], (count, beams, -1)),
            "best_scores": ops.full((count, beams), NEVER),
            "best_ended": ops.zeros((count, beams), "bool"),
            "hopes": ops.ones((count, 1), "bool"),
        }
        return self._with_tokens(state, logits)

    def _stepped(self, state, head=None):
        """The state after one more token of each beam."""
        logits, caches = self._logits(state, head)
        return self._with_tokens(state | {"caches": caches}, logits)

    def _with_tokens(self, state, logits):
        """The state with a token more in each beam, the beams sorted out anew."""
        scores, ids, origins = self._continuations(state, logits)
        made = state["next"] - state["width"] + 1
        ended = self._ends(ids, made)
        tokens = self._written(state, ids, origins)
        state = self._with_best(state, tokens, scores, ended, made)
        running = scores + ops.where(ended, NEVER, 0.0)
        running, kept = ops.top_k(running, self.beams)
        parents = ops.take_along_axis(origins, kept, axis=1)
        flat = ops.reshape(parents + self._firsts(parents), (-1,))
        here = self._here(state)
        chosen_tokens = ops.take_along_axis(tokens, kept[:, :, None], axis=1)
        state = state | {
            "tokens": ops.reshape(chosen_tokens, ops.shape(state["tokens"])),
            "mask": ops.maximum(ops.take(state["mask"], flat, axis=0), here),
            "caches": reordered(state["caches"], flat),
            "lengths": state["lengths"] + 1,
            "scores": running,
            "next": state["next"] + 1,
        }
        return self._with_hopes(state, ended, made)

    def _continuations(self, state, logits):
        """The best continuations: scores, tokens and beams, (prompts, candidates)."""
        logs = self._allowed(state, ops.log_softmax(logits))
        vocabulary = logits.shape[-1]
        logs = ops.reshape(logs, (-1, self.beams, vocabulary))
        total = ops.reshape(
            logs + state["scores"][:, :, None], (-1, self.beams * vocabulary)
        )
        # So many that enough are left if some of each beam end.
        candidates = max(2, 1 + len(self.end_ids)) * self.beams
        scores, numbers = ops.top_k(total, candidates)
        numbers = ops.cast(numbers, "int32")
        return scores, numbers % vocabulary, numbers // vocabulary

    def _ends(self, ids, made):
        ended = ops.broadcast_to(made >= self.settings.max_new_tokens, ops.shape(ids))
        return self._or_ended(ended, ids)

    def _written(self, state, ids, origins):
        """Tokens of the continuations, (prompts, candidates, capacity)."""
        count = ops.shape(ids)[0]
        tokens = ops.reshape(state["tokens"], (count, self.beams, -1))
        tokens = ops.take_along_axis(tokens, origins[:, :, None], axis=1)
        here = self._here(state)
        return tokens * (1 - here) + ids[:, :, None] * here

    def _firsts(self, parents):
        count = ops.shape(parents)[0]
        return ops.arange(count, dtype="int32")[:, None] * self.beams

    def _with_best(self, state, tokens, scores, ended, made):
        """The best ended texts, those that just ended among them."""
        length = ops.power(ops.cast(made, "float32"), self.settings.length_penalty)
        among = ops.arange(scores.shape[1]) < self.beams
        just_ended = ops.logical_and(ended, among)
        possible = ops.logical_and(just_ended, state["hopes"])
        if self.settings.early_stopping:
            full = ops.all(state["best_ended"], axis=1, keepdims=True)
            possible = ops.logical_and(possible, ops.logical_not(full))
        ranked = scores / length + ops.where(possible, 0.0, NEVER)
        ranked = ops.concatenate([state["best_scores"], ranked], axis=1)
        best_scores, kept = ops.top_k(ranked, self.beams)
        texts = ops.concatenate([state["best"], tokens], axis=1)
        both = ops.concatenate([state["best_ended"], just_ended], axis=1)
        return state | {
            "best": ops.take_along_axis(texts, kept[:, :, None], axis=1),
            "best_scores": best_scores,
            "best_ended": ops.take_along_axis(both, kept, axis=1),
        }

    def _with_hopes(self, state, ended, made):
        """Whether any running beam may still become one of the best."""
        length = ops.power(ops.cast(made, "float32"), self.settings.length_penalty)
        possible = state["scores"][:, :1] / length
        worst = ops.min(state["best_scores"], axis=1, keepdims=True)
        worst = ops.where(state["best_ended"], worst, NEVER)
        hopes = ops.any(possible > worst, axis=1, keepdims=True)
        hopes = ops.logical_and(state["hopes"], hopes)
        over = ops.logical_or(ops.logical_not(hopes[:, 0]), ops.all(ended, axis=1))
        if self.settings.early_stopping:
            over = ops.logical_or(over, ops.all(state["best_ended"], axis=1))
        return state | {"hopes": hopes, "finished": over}
