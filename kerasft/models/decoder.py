"""What decoders share: each token sees itself and those before it.

A subclass gives the embedding, the blocks and, where positions are turned, by how much.
"""

import abc

from keras import ops

from kerasft._errors import DataError
from kerasft.layers.attention import attention_bias, before
from kerasft.layers.embedding import positions_in_row
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
        `position_ids` (batch, tokens) are needed. The new states are kept there.
        """
        mask = inputs.get("attention_mask")
        packing = packing_of(mask) if cache is None else UNPACKED
        position_ids = self._positions(inputs, cache)
        hidden = self.embedding(inputs["input_ids"], position_ids, training=training)
        hidden = packing.packed(hidden)
        length = ops.shape(inputs["input_ids"])[1]
        shared = {"training": training, "packing": packing}
        turn = self._turn(position_ids)
        if turn is not None:
            shared["turn"] = turn
        last, biases = self.config.num_layers - 1, self._biases(inputs, length, cache)
        for i, block in enumerate(self.blocks):
            hidden = block(
                hidden,
                bias=biases[self._slides(i)],
                readers=readers if i == last else None,
                cache=None if cache is None else cache[i],
                **shared,
            )
        hidden = self.final_norm(hidden)
        return packing.rows(hidden) if readers is None else hidden

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

    def _biases(self, inputs, length, cache):
        """Who sees whom: {whether a block slides: addend of its scores}."""
        mask, first = inputs.get("attention_mask"), 0
        places = length
        if cache is not None:
            places, first = ops.shape(mask)[1], cache[0].first
        kinds = {self._slides(i) for i in range(self.config.num_layers)}
        windows = {False: None, True: self.config.sliding_window}
        return {
            kind: attention_bias(
                mask,
                inputs.get("sequence_ids"),
                before(places, windows[kind], first, length),
            )
            for kind in kinds
        }
