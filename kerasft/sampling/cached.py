"""A decoder run on the tokens that are new: logits of what comes next."""

import keras
from keras import ops

from kerasft.layers.kv_cache import LayerCache


class CachedDecoder:
    """A backbone with its next-token head.

    Args:
        backbone: a `DecoderBackbone`.
        head: a `NextTokenHead`.
        owner: the Keras layer that has all variables of both; what is compiled by JAX
            needs it.
    """

    def __init__(self, backbone, head, owner=None):
        self.backbone = backbone
        self.head = head
        self.owner = owner

    def empty(self, rows, capacity):
        """The cache of no tokens: of each block keys and values, zeros.

        Those of an adapter's virtual tokens have places before them.
        """
        shape = self.backbone.cache_shape(rows, capacity)
        nothing = ops.zeros(shape, self.backbone.compute_dtype)
        prefixes = self.backbone.virtual_states()
        if prefixes is None:
            return ((nothing, nothing),) * self.backbone.config.num_layers
        return tuple(prefix.extended(nothing, nothing) for prefix in prefixes)

    def turned_table(self):
        """What `head_for_loop` takes, made once for all tokens of a text; or None.

        On a GPU nothing is gained by it, and JAX's compiler sees to it.
        """
        if keras.backend.backend() != "tensorflow":
            return None
        from kerasft.layers.rows_tensorflow import on_cpu

        return self.head.turned(self.backbone.token_table) if on_cpu() else None

    def head_for_loop(self, turned):
        """The head as a function of hidden states, with a `turned_table` or None."""
        if turned is not None:
            return lambda hidden: self.head.by_turned(hidden, turned)
        return lambda hidden: self.head(hidden, self.backbone.token_table)

    def read(self, ids, mask, caches, head, readers=-1):
        """Run prompts.

        Args:
            ids: int32 (rows, width), padded on the left.
            mask: (rows, capacity), 1 where there is a token.
            caches: as of `empty`.
            head: of `head_for_loop`.
            readers: -1: hidden states of the last token; None: of all.

        Returns:
            As `step`.
        """
        positions = positions_of(mask[:, : ops.shape(ids)[1]])
        layers = self._layers(caches, 0)
        return self._run(ids, mask, positions, layers, head, readers)

    def step(self, ids, mask, positions, caches, first, head=None):
        """Run new tokens.

        Args:
            ids: int32 (rows, tokens).
            mask: (rows, capacity), 1 where there is a token, the new ones included.
            positions: int32 (rows, tokens).
            caches: as of `empty`.
            first: the place of the first new token, a scalar.
            head: of `head_for_loop`, within a loop of steps: nobody else has the
                caches then. None: outside of one.

        Returns:
            Logits (rows, vocabulary) after the last token, float32; hidden states of
            the tokens; the caches.
        """
        layers = self._layers(caches, first, own=head is not None)
        head = head or self.head_for_loop(None)
        return self._run(ids, mask, positions, layers, head)

    def _layers(self, caches, first, own=False):
        before = self.backbone.num_virtual
        return [LayerCache(*cache, first, before, own) for cache in caches]

    def _run(self, ids, mask, positions, layers, head, readers=None):
        inputs = {"input_ids": ids, "attention_mask": mask, "position_ids": positions}
        hidden = self.backbone(inputs, readers=readers, cache=layers)
        logits = head(hidden[:, -1:])[:, 0]
        caches = tuple((layer.keys, layer.values) for layer in layers)
        return ops.cast(logits, "float32"), hidden, caches


def positions_of(mask):
    """Positions of tokens behind padding on the left, int32 (rows, width)."""
    return ops.maximum(ops.cumsum(ops.cast(mask, "int32"), axis=1) - 1, 0)


def widened(array, more, axis):
    """The same with zeros at `more` places along an axis."""
    pads = [(0, 0)] * len(array.shape)
    pads[axis] = (0, more)
    return ops.pad(array, pads)


def reordered(caches, rows):
    """Caches of the rows (rows,) in their order."""
    return keras.tree.map_structure(lambda array: ops.take(array, rows, axis=0), caches)
