"""Virtual tokens before each text, which an adapter puts there.

They are keys and values for each block (a prefix), or vectors beside those of embedded
tokens (a prompt). Positions of the text come after theirs, and its hidden states are
all that comes out.

Sources: Li and Liang 2021 (arXiv:2101.00190), section 4.2; Lester et al. 2021
(arXiv:2104.08691), section 2.
"""

from keras import ops

from kerasft._errors import DataError
from kerasft.layers.kv_cache import behind
from kerasft.layers.pooling import EVERY


class Prompted:
    """Mixin of a `Backbone`; without an adapter nothing is changed.

    `prefix` and `prompt` are layers of an adapter with a `count`, or None. The first
    gives a `Prefix` for each block, the other vectors (1, count, width of the tables);
    its `read_first` tells whether a head that reads the first token reads the prompt's.
    """

    prefix = None
    prompt = None
    no_prefix = None
    """Why its blocks cannot look at a `prefix`; None: they can."""
    looks_ahead = True
    """Whether tokens see those behind them."""

    def positions_of(self, inputs, usual):
        """The `position_ids` of `inputs`; where there are none, `usual(input_ids)`.

        Positions of the virtual tokens come before them.

        Raises:
            DataError: packed rows without them, or longer rows than there are.
        """
        position_ids = inputs.get("position_ids")
        if position_ids is None and inputs.get("sequence_ids") is not None:
            raise DataError(
                "Packed rows (sequence_ids) need position_ids, which start anew with "
                "each example."
            )
        if position_ids is None:
            position_ids = usual(inputs["input_ids"])
        if not self.num_virtual:
            return position_ids
        self._raise_unless_room(inputs["input_ids"].shape[1])
        return ops.cast(position_ids, "int32") + self.num_virtual

    @property
    def num_virtual(self):
        """How many virtual tokens stand before each text."""
        return sum(one.count for one in (self.prefix, self.prompt) if one is not None)

    @property
    def room(self):
        """The most tokens that a text may have.

        Where positions have a table, virtual tokens take some of them.
        """
        if self.embedding.position_embedding is None:
            return self.config.num_positions
        return self.config.num_positions - self.num_virtual

    def _raise_unless_room(self, length):
        if length is not None and length > self.room:
            raise DataError(
                f"A row has {length} tokens, but the model has {self.room} positions "
                f"for them beside the {self.num_virtual} of the adapter's virtual "
                "tokens. Make the batches anew, or give fewer tokens."
            )

    def virtual_positions(self):
        """Positions of the virtual tokens, (1, count)."""
        return self.config.first_position + ops.arange(self.num_virtual)[None]

    def with_prompt(self, inputs):
        """Positions, mask and types of a prompt's tokens before those of the text.

        Raises:
            DataError: packed rows, in which a prompt would see texts that do not
                belong together.
        """
        if self.prompt is None:
            return inputs
        if self.looks_ahead and inputs.get("sequence_ids") is not None:
            raise DataError(
                "Packed rows (sequence_ids) share one prompt, which would let their "
                "texts see one another in an encoder. Give each text a row."
            )
        told = dict(inputs)
        positions = self.virtual_positions()
        told["position_ids"] = behind(positions, inputs["position_ids"], axis=1)
        for name, value in (("attention_mask", 1), ("token_type_ids", 0)):
            if inputs.get(name) is not None:
                more = ((0, 0), (self.num_virtual, 0))
                told[name] = ops.pad(inputs[name], more, constant_values=value)
        return told

    def placed(self, inputs, usual):
        """The inputs with `position_ids`, a prompt's before those of the text."""
        told = {**inputs, "position_ids": self.positions_of(inputs, usual)}
        return self.with_prompt(told)

    def embedded(self, inputs, training=None, alone=False):
        """Vectors of a prompt and of tokens behind it, (batch, count + length, width).

        Args:
            inputs: with `position_ids` of both, and types, if any.
            training: whether to drop.
            alone: without the prompt.
        """
        alone = alone or self.prompt is None
        return self.embedding(
            inputs["input_ids"],
            inputs["position_ids"],
            inputs.get("token_type_ids"),
            training=training,
            before=None if alone else self.prompt(training=training),
        )

    def prefixes(self, training=None):
        """The `Prefix` of each layer from the embedding upwards, or None."""
        if self.prefix is None:
            return [None] * self.config.num_layers
        return self.prefix(training=training)

    def with_prefix(self, bias):
        """The addend of attention scores with places that all may see before it."""
        if self.prefix is None or bias is None:
            return bias
        return ops.pad(bias, ((0, 0), (0, 0), (0, 0), (self.num_virtual, 0)))

    def readers_with_prompt(self, readers):
        """How many of all tokens, from the first, are worked out for `readers`."""
        if readers == EVERY:
            return None
        if self.prompt is None or readers is None or self.prompt.read_first:
            return readers
        return readers + self.num_virtual

    def without_prompt(self, hidden, packing, readers=None):
        """Hidden states in rows, of the text alone; or those for `readers`."""
        if readers in (None, EVERY):
            hidden = packing.rows(hidden)
        if self.prompt is None or (readers is not None and self.prompt.read_first):
            return hidden
        return hidden[:, self.num_virtual :]
