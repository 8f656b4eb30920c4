"""Shorter texts, where virtual tokens take some of a model's positions."""

from kerasft._errors import SettingsError


class Shortened:
    """Mixin of a task with a `backbone` and a `tokenizer`."""

    @property
    def whole_tokenizer(self):
        """The tokenizer as it is without an adapter."""
        whole, fitted = vars(self).get("_tokenizers", (None, None))
        return whole if self.tokenizer is fitted else self.tokenizer  # The user's.

    def fit_tokenizer(self):
        """Cut texts where virtual tokens leave no more positions; undo it without."""
        whole = self.whole_tokenizer
        if whole is None:
            return
        fitted = whole.shortened(min(whole.max_length, self.backbone.room))
        self.tokenizer = fitted
        object.__setattr__(self, "_tokenizers", (whole, fitted))

    def raise_unless_room(self, batches):
        """Refuse batches whose rows leave no positions for virtual tokens.

        Raises:
            SettingsError: they were made before the adapter came.
        """
        if batches is None or not self.backbone.num_virtual:
            return
        longest, room = int(batches.plan.lengths.max()), self.backbone.room
        if longest > room:
            raise SettingsError(
                f"These batches have rows of up to {longest} tokens, but beside the "
                f"{self.backbone.num_virtual} virtual tokens of the adapter there are "
                f"positions for {room}. Call dataset() again."
            )
