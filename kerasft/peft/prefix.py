"""Prefix tuning and P-tuning v2: learnt keys and values before those of every block.

Sources: Li and Liang 2021 (arXiv:2101.00190), section 4; Liu et al. 2021
(arXiv:2110.07602), section 3.
"""

from dataclasses import dataclass
from typing import ClassVar, Literal

from kerasft._errors import SettingsError
from kerasft.peft.hosts import policy_of
from kerasft.peft.method import Part
from kerasft.peft.prompted import PromptMethod, too_small, virtual_tokens_of
from kerasft.peft.virtual import KeyValueTokens, Perceptron, standard_normal


@dataclass(frozen=True, kw_only=True)
class PrefixTuning(PromptMethod):
    """Virtual tokens that are keys and values of each block (Li and Liang 2021).

    Positions of the text come after theirs, so where positions have a table a text may
    have `num_virtual_tokens` fewer tokens: the task's tokenizer is shortened while the
    adapter works.
    """

    projection: bool = False
    """Whether an MLP makes them while they are trained; the file holds the result."""
    hidden_size: int | None = None
    """Units of that MLP; None: as many as a block's keys have features."""
    init: Literal["normal", "zero"] = "normal"
    """How they begin. Zeros change the model, too: zero keys are looked at."""

    kind: ClassVar[str] = "prefix"
    peft_type: ClassVar[str] = "PREFIX_TUNING"
    learning_rate: ClassVar[float] = 5e-2

    def rate_for(self, width):
        """A tenth for the MLP, if there is one."""
        return self.learning_rate / 10 if self.projection else self.learning_rate

    def problems(self):
        """Yield what is wrong."""
        yield from super().problems()
        if self.hidden_size is not None:
            yield from too_small(self, "hidden_size")
        if self.init not in ("normal", "zero"):
            yield f"init is {self.init!r}; known: normal, zero"

    def parts(self, places):
        """One layer, the prefixes of all blocks.

        Raises:
            SettingsError: blocks that cannot look at one; no positions left for texts.
        """
        backbone = places.backbone
        if backbone.no_prefix:
            raise SettingsError(
                f"{type(self).__name__} gives each layer keys and values of its own, "
                f"for which a {places.family.model_type} has no place: "
                f"{backbone.no_prefix}. Take PromptTuning or LoRA."
            )
        self.raise_unless_room(places)
        config, policy = backbone.config, policy_of(backbone)
        heads, size = config.num_cached_heads, config.cached_size
        first, encoder = "zeros" if self.init == "zero" else standard_normal, None
        if self.projection:
            last, first = None if first is standard_normal else "zeros", standard_normal
            hidden = self.hidden_size or heads * size
            sizes = (heads * size, hidden, 2 * config.num_layers * heads * size)
            encoder = Perceptron(sizes, "tanh", last, name="encoder", dtype=policy)
        layer = KeyValueTokens(
            self.num_virtual_tokens,
            config.num_layers,
            heads,
            size,
            first=first,
            encoder=encoder,
            features=heads * size,
            name="prefix",
            dtype=policy,
        )
        return [Part("backbone", "", backbone, layer, "prefix")]

    # --- files

    def content(self, adapter):
        """Fields of `PrefixTuningConfig`."""
        config = adapter.places.backbone.config
        heads = config.num_cached_heads
        width = heads * config.cached_size
        return self.sizes_told(config, heads, width) | {
            "encoder_hidden_size": self.hidden_size or width,
            "init_weights": "zero" if self.init == "zero" else None,
            "prefix_projection": self.projection,
        }

    @classmethod
    def from_content(cls, content):
        """From a `PrefixTuningConfig`; there is no MLP in the file."""
        return cls(num_virtual_tokens=virtual_tokens_of(content))


@dataclass(frozen=True, kw_only=True)
class PTuningV2(PrefixTuning):
    """P-tuning v2 (Liu et al. 2021): a prefix, and a head that is trained with it.

    The formula and the files are those of `PrefixTuning`. The paper takes fewer than 20
    virtual tokens for single sentences, and about 100 for tags.
    """

    kind: ClassVar[str] = "ptuning_v2"
