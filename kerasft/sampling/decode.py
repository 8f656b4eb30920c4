"""Token after token, by choice or by chance, as one compiled loop.

`begin` reads the prompts and chooses the first token; `advance` makes so many more. In
between the caller may look at the texts, widen the cache, or end some rows.
"""

from keras import ops

from kerasft.sampling.cached import CachedDecoder
from kerasft.sampling.samplers import History, chosen, penalised, without_ends


class Decoding:
    """Generation by one token a step.

    Args:
        decoder: a `CachedDecoder`.
        settings: `Sampling`.
        end_ids: tokens that end a text.
        pad_id: what stands behind an end.
    """

    def __init__(self, decoder: CachedDecoder, settings, end_ids, pad_id):
        self.decoder = decoder
        self.settings = settings
        self.end_ids = tuple(end_ids)
        self.pad_id = pad_id

    def begin(self, ids, mask, rows, seed, capacity, **told):
        """Read prompts, padded on the left; choose the first token of each.

        Args:
            ids, mask: int32 (rows, width).
            rows: int32 (rows,) numbers, which seeds depend on.
            seed: of the choices, an integer or a scalar.
            capacity: places of the cache, more than `width`; an integer or a scalar.
            **told: what else the state holds.

        Returns:
            The state, a dict of tensors.
        """
        state, logits, _ = self._read(ids, mask, capacity)
        seed = ops.cast(seed, "uint32")
        return self._with_token(state | {"rows": rows, "seed": seed, **told}, logits)

    def _read(self, ids, mask, capacity, readers=-1):
        """The state behind prompts, logits of what follows, hidden states."""
        count, width = ops.shape(ids)
        more = ((0, 0), (0, capacity - width))
        state = {
            "tokens": ops.pad(ids, more),
            "mask": ops.pad(mask, more),
            "width": ops.convert_to_tensor(width, "int32"),
            "next": ops.convert_to_tensor(width, "int32"),
            "lengths": ops.sum(mask, axis=1),
            "finished": ops.zeros((count,), "bool"),
        }
        turned = self.decoder.turned_table()
        if turned is not None:
            state["turned"] = turned
        caches = self.decoder.empty(count, capacity)
        head = self.decoder.head_for_loop(turned)
        logits, hidden, caches = self.decoder.read(
            ids, state["mask"], caches, head, readers
        )
        return state | {"caches": caches}, logits, hidden

    def advance(self, state, count):
        """Make at most `count` more tokens, a scalar; fewer if all texts end."""
        same = {name: state[name] for name in ("turned",) if name in state}
        state = {name: part for name, part in state.items() if name not in same}
        head = self.decoder.head_for_loop(same.get("turned"))

        def goes_on(state, made):
            return ops.logical_and(
                made < count, ops.logical_not(ops.all(state["finished"]))
            )

        def step(state, made):
            return self._stepped(state, head), made + 1

        start = ops.convert_to_tensor(0, "int32")
        return ops.while_loop(goes_on, step, (state, start))[0] | same

    def _stepped(self, state, head=None):
        """The state after one more token."""
        logits, caches = self._logits(state, head)
        return self._with_token(state | {"caches": caches}, logits)

    def _logits(self, state, head):
        """Logits after the last token of each row, and the caches with it."""
        last = state["next"] - 1
        ids = ops.take(state["tokens"], last, axis=1)[:, None]
        positions = state["lengths"][:, None] - 1
        mask, caches = state["mask"], state["caches"]
        logits, _, caches = self.decoder.step(ids, mask, positions, caches, last, head)
        return logits, caches

    def _chosen(self, logits, state, made):
        """The next token of each row, int32 (rows,)."""
        return chosen(logits, self.settings, state["rows"], made, state["seed"])

    def _with_token(self, state, logits):
        """The state with the token that follows by these logits."""
        logits = self._allowed(state, logits)
        ids = self._chosen(logits, state, state["next"] - state["width"])
        return self._taken(state, ids)

    def _allowed(self, state, logits):
        """Logits after penalties, and of no end where it is too early for one."""
        history = History(state["tokens"], state["mask"], state["next"], state["width"])
        logits = penalised(logits, self.settings, history)
        least = self.settings.min_new_tokens
        if not least:
            return logits
        early = state["next"] - state["width"] < least
        return without_ends(logits, self.end_ids, early)

    def _taken(self, state, ids):
        """The state with a token (rows,) more in each row; behind an end, padding."""
        ids = ops.where(state["finished"], ops.cast(self.pad_id, "int32"), ids)
        here = self._here(state)
        return state | {
            "tokens": state["tokens"] * (1 - here) + ids[:, None] * here,
            "mask": ops.maximum(state["mask"], here),
            "next": state["next"] + 1,
            "lengths": state["lengths"] + 1,
            "finished": self._or_ended(state["finished"], ids),
        }

    def _here(self, state):
        """1 at the place of the next token, else 0, int32 (capacity,)."""
        places = ops.arange(ops.shape(state["tokens"])[1], dtype="int32")
        return ops.cast(places == state["next"], "int32")

    def _or_ended(self, ended, ids):
        """Whether a text had ended, or does by these tokens."""
        for end in self.end_ids:
            ended = ops.logical_or(ended, ops.equal(ids, end))
        return ended
