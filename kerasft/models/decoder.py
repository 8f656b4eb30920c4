"""What decoders share: each token sees itself and those before it.

A subclass gives the embedding, the blocks and, where positions are turned, by how much.
"""

import abc

from keras import ops

from kerasft._errors import DataError
from kerasft.layers.attention import HIDDEN, attention_bias, before
from kerasft.layers.embedding import positions_in_row
from kerasft.layers.kv_cache import LayerCache, Prefix
from kerasft.layers.packing import UNPACKED, packing_of
from kerasft.models.backbone import Backbone

SLIDING = "sliding_attention"


class DecoderBackbone(Backbone):
    """Embedding, blocks, a last norm; hidden states (batch, length, width).

    Args:
        family: its `Family`.
        config: its `DecoderConfig`.
        initializer: of tables and kernels; None: as the family draws them.
    """

    def __init__(self, family, config, initializer=None, name="backbone"):
        super().__init__(family, config, name=name)
        self.embedding = self._new_embedding(initializer)
        for i in range(config.num_layers):
            # By attribute, not in a list: tf.train.Checkpoint drops layers in lists.
            setattr(self, f"block_{i}", self._new_block(i, initializer))
        self.final_norm = self._new_norm("final_norm")
        self.build()

    looks_ahead = False

    @abc.abstractmethod
    def _new_embedding(self, initializer):
        """The `TokenEmbedding`."""

    @abc.abstractmethod
    def _new_block(self, i, initializer):
        """The `PreNormBlock` number `i`."""

    @abc.abstractmethod
    def _new_norm(self, name):
        """A norm of this name."""

    def _turn(self, position_ids):
        """What queries and keys are turned by; None: positions have a table."""

    @property
    def blocks(self):
        """The blocks, from the embedding upwards."""
        return [getattr(self, f"block_{i}") for i in range(self.config.num_layers)]

    def build(self, input_shape=None):
        """Make all weights; they depend on the config alone."""
        self.embedding.build((None, None))
        for part in (*self.blocks, self.final_norm):
            part.build((None, None, self.config.hidden_size))

    def call(self, inputs, training=None, readers=None, cache=None):
        """Compute the hidden states, of the first `readers` tokens or of all.

        With `cache`, a list of one `LayerCache` a block, the tokens stand behind those
        in it: `attention_mask` is (batch, capacity), of all places of the cache, and
        `position_ids` (batch, tokens) are needed. The new states are kept there. With
        negative `readers` those of the last so many tokens come out.
        """
        position_ids = self._positions(inputs, cache)
        biases = self._biases(inputs, position_ids, cache)
        inputs = {**inputs, "position_ids": position_ids}
        if cache is not None:  # It holds what a prompt is to later tokens.
            hidden = self.embedded(inputs, training, alone=True)
            return self._run(hidden, position_ids, biases, cache, training, readers)
        inputs = self.with_prompt(inputs)
        packing = packing_of(inputs.get("attention_mask"))
        hidden = packing.packed(self.embedded(inputs, training))
        hidden = self._run(
            hidden,
            inputs["position_ids"],
            biases,
            self.prefixes(training),
            training,
            self.readers_with_prompt(readers),
            packing,
        )
        return self.without_prompt(hidden, packing, readers)

    def _run(  # noqa: PLR0913 - what `call` has made of its arguments
        self,
        hidden,
        position_ids,
        biases,
        caches,
        training,
        readers=None,
        packing=UNPACKED,
    ):
        """The blocks and the last norm; `caches` are of each block, or None."""
        shared = {"training": training, "packing": packing}
        turn = self._turn(position_ids)
        if turn is not None:
            shared["turn"] = turn
        last = self.config.num_layers - 1
        for i, (block, cache) in enumerate(zip(self.blocks, caches, strict=True)):
            hidden = block(
                hidden,
                bias=biases[self._slides(i)],
                readers=readers if i == last else None,
                cache=cache,
                **shared,
            )
        return self.final_norm(hidden)

    def virtual_states(self):
        """The `Prefix` that virtual tokens are to those behind them, of each block.

        What comes before them is nothing, so they are worked out once for all texts;
        None: there are none.
        """
        if self.prefix is not None:
            return self.prefixes()
        if self.prompt is None:
            return None
        count = self.num_virtual
        shape = self.cache_shape(1, count)
        caches = [
            LayerCache(ops.zeros(shape, dtype), ops.zeros(shape, dtype), 0)
            for dtype in [self.compute_dtype] * self.config.num_layers
        ]
        positions = self.virtual_positions()
        nothing = {"input_ids": ops.zeros((1, 0), "int32"), "position_ids": positions}
        biases = {
            kind: attention_bias(within=before(count, window))
            for kind, window in self._windows().items()
        }
        self._run(self.embedded(nothing), positions, biases, caches, training=False)
        return [Prefix(cache.keys, cache.values) for cache in caches]

    def cache_shape(self, batch, capacity):
        """Shape of the keys, and of the values, of one block."""
        config = self.config
        return batch, config.num_cached_heads, capacity, config.cached_size

    def _positions(self, inputs, cache):
        if cache is not None and inputs.get("position_ids") is None:
            raise DataError("Tokens behind a cache need position_ids.")
        return self.positions_of(inputs, positions_in_row)

    def _slides(self, i):
        types = self.config.layer_types
        return bool(types) and types[i] == SLIDING

    def _windows(self):
        """{whether a block slides: the most tokens it sees, or None}."""
        windows = {False: None, True: self.config.sliding_window}
        kinds = {self._slides(i) for i in range(self.config.num_layers)}
        return {kind: windows[kind] for kind in kinds}

    def _biases(self, inputs, position_ids, cache):
        """Who sees whom: {whether a block slides: addend of its scores}.

        Virtual tokens are places before all others.
        """
        mask, first = inputs.get("attention_mask"), 0
        places = length = ops.shape(inputs["input_ids"])[1]
        if cache is not None:
            places, first = ops.shape(mask)[1], cache[0].first
        found = {}
        for kind, window in self._windows().items():
            within = before(places, window, first, length)
            bias = attention_bias(mask, inputs.get("sequence_ids"), within)
            if self.num_virtual:
                bias = self._with_virtual(bias, position_ids, window)
            if self.prompt is not None and cache is None:
                bias = self._with_prompt_rows(bias, window)
            found[kind] = bias
        return found

    def _with_virtual(self, bias, position_ids, window):
        """The addend with places of virtual tokens, all seen but those out of reach."""
        if window is None:
            return ops.pad(bias, ((0, 0), (0, 0), (0, 0), (self.num_virtual, 0)))
        distances = position_ids[:, None, :, None] - self.virtual_positions()
        front = ops.where(distances < window, 0.0, HIDDEN)
        # One of them may be the same for all rows.
        front, bias = front + 0 * bias[..., :1], bias + 0 * front[..., :1]
        return ops.concatenate([front, bias], axis=-1)

    def _with_prompt_rows(self, bias, window):
        """The addend with what a prompt's tokens see: one another, none ahead."""
        count, (rows, _, _, places) = self.num_virtual, ops.shape(bias)
        first = attention_bias(within=before(places, window, 0, count))
        first = ops.broadcast_to(first, (rows, 1, count, places))
        return ops.concatenate([first, bias], axis=2)
