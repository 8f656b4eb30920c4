"""P-tuning: a prompt that a small network makes while it is trained.

Source: Liu et al. 2021 (arXiv:2103.10385), section 3.
"""

from dataclasses import dataclass
from typing import ClassVar, Literal

from kerasft.peft.hosts import policy_of
from kerasft.peft.prompted import EmbeddedPrompt, too_small
from kerasft.peft.virtual import Perceptron, Recurrent

ENCODERS = ("mlp", "lstm", "none")


@dataclass(frozen=True, kw_only=True)
class PTuning(EmbeddedPrompt):
    """A prompt that a small network makes while it is trained (Liu et al. 2021).

    The file holds the result alone; one that was loaded has no network. See
    `EmbeddedPrompt` for what becomes of long texts.
    """

    encoder: Literal["mlp", "lstm", "none"] = "mlp"
    """The network: three linear layers, or LSTMs in both directions and two linear
    layers; "none": what is trained is the prompt itself."""
    hidden_size: int | None = None
    """Units of its layers; None: as many as an embedded token has features."""
    depth: int = 2
    """LSTMs behind one another."""
    dropout: float = 0.0
    """Share dropped between them."""

    kind: ClassVar[str] = "ptuning"
    peft_type: ClassVar[str] = "P_TUNING"
    learning_rate: ClassVar[float] = 1e-2

    def problems(self):
        """Yield what is wrong."""
        yield from super().problems()
        if self.encoder not in ENCODERS:
            yield f"encoder is {self.encoder!r}; known: {', '.join(ENCODERS)}"
        if self.hidden_size is not None:
            yield from too_small(self, "hidden_size")
        yield from too_small(self, "depth")
        if not 0 <= self.dropout < 1:
            yield f"dropout is {self.dropout}; 0 to below 1"

    def parts(self, places):
        """One layer, the prompt.

        Raises:
            SettingsError: no positions left for texts.
        """
        width = places.backbone.embedding.table_width
        encoder = self._encoder(width, policy_of(places.backbone))
        return [self.part(places, encoder=encoder, features=width)]

    def _encoder(self, width, policy):
        hidden = self.hidden_size or width
        options = {"name": "encoder", "dtype": policy}
        if self.encoder == "mlp":
            return Perceptron((width, hidden, hidden, width), "relu", **options)
        if self.encoder == "lstm":
            return Recurrent(width, hidden, self.depth, self.dropout, **options)
        return None

    # --- files

    def content(self, adapter):
        """Fields of `PromptEncoderConfig`."""
        width = adapter.places.backbone.config.embedding_size
        return super().content(adapter) | {
            "encoder_dropout": self.dropout,
            "encoder_hidden_size": self.hidden_size or width,
            "encoder_num_layers": self.depth,
            "encoder_reparameterization_type": "LSTM"
            if self.encoder == "lstm"
            else "MLP",
        }

    @classmethod
    def from_content(cls, content):
        """From a `PromptEncoderConfig`; there is no network in the file."""
        return cls(encoder="none", **cls.told(content))
