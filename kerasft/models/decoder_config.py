"""The numbers of a decoder: what it has beside an encoder's."""

from dataclasses import dataclass

from kerasft.models.config import EncoderConfig


@dataclass(frozen=True)
class DecoderConfig(EncoderConfig):
    """Sizes and settings of a decoder; also those of `EncoderConfig`.

    Raises:
        SettingsError: values out of bounds, all of them told at once.
    """

    layer_types: tuple[str, ...] = ()
    """Of each block "full_attention" or "sliding_attention"; () is all full."""
    sliding_window: int | None = None
    """The most tokens that a sliding block sees, the own one included."""

    @property
    def end_ids(self):
        """Ids that end a text, as the checkpoint tells; () where it does not."""
        ids = self.extra.get("eos_token_id")
        return tuple(ids) if isinstance(ids, list) else () if ids is None else (ids,)
