"""What methods share that put virtual tokens before each text.

Sources: Lester et al. 2021 (arXiv:2104.08691), section 2; Li and Liang 2021
(arXiv:2101.00190), section 4.
"""

from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from kerasft._errors import CheckpointError, SettingsError
from kerasft.peft.hosts import policy_of
from kerasft.peft.method import Method, Part
from kerasft.peft.virtual import PromptTokens

VECTORS = "prompt_embeddings"  # The one key of the file.
POOLS = ("first", "cls")


def too_small(method, *names):
    """Yield a clause for each field that is no whole number of at least 1."""
    for name in names:
        value = getattr(method, name)
        if type(value) is not int or value < 1:
            yield f"{name} is {value!r:.60}; a whole number, at least 1"


@dataclass(frozen=True, kw_only=True)
class PromptMethod(Method):
    """What methods of virtual tokens share; a subclass says what those are."""

    num_virtual_tokens: int = 20
    """How many stand before each text."""

    merges: ClassVar[bool] = False
    keeps_outputs: ClassVar[bool] = False
    model_prefix: ClassVar[str] = "base_model."

    def problems(self):
        """Yield what is wrong."""
        yield from too_small(self, "num_virtual_tokens")

    def raise_unless_room(self, places):
        """Refuse as many virtual tokens as leave a text no positions.

        Raises:
            SettingsError: they do.
        """
        backbone, tokenizer = places.backbone, places.tokenizer
        if backbone.embedding.position_embedding is None:
            return
        positions, least = backbone.config.num_positions, 1
        if tokenizer is not None:
            least = tokenizer.backend.num_special_tokens_to_add(is_pair=True) + 2
        if self.num_virtual_tokens + least > positions:
            raise SettingsError(
                f"num_virtual_tokens is {self.num_virtual_tokens}; of the model's "
                f"{positions} positions a text needs {least}, so it can be "
                f"{positions - least} at most."
            )

    # --- files

    def wrapped(self, adapter):
        """No layer of the model is."""
        return set()

    def sizes_told(self, config, heads, width):
        """Fields that all `PromptLearningConfig` have."""
        return {
            "num_attention_heads": heads,
            "num_layers": config.num_layers,
            "num_transformer_submodules": 1,
            "num_virtual_tokens": self.num_virtual_tokens,
            "token_dim": width,
        }

    def tensors(self, adapter):
        """The vectors, whatever made them."""
        (part,) = adapter.parts
        yield VECTORS, part.layer.vectors()

    def num_unsaved(self, adapter):
        """Those of a network whose result alone is saved."""
        layer = adapter.parts[0].layer
        trained = sum(int(np.prod(w.shape)) for w in layer.trainable_weights)
        return trained - layer.count * layer.width

    def fill(self, adapter, read, shapes, content, strict=True):
        """Let the layer give the file's vectors."""
        layer = adapter.parts[0].layer
        wanted = (layer.count, layer.width)
        if VECTORS not in shapes:
            return set(), [f"{VECTORS}: missing; the adapter needs {wanted}"]
        if shapes[VECTORS] != wanted:
            return {VECTORS}, [
                f"{VECTORS}: has shape {shapes[VECTORS]}, expected {wanted}"
            ]
        layer.set_vectors(read(VECTORS))
        return {VECTORS}, []


def virtual_tokens_of(content):
    """`num_virtual_tokens` of a config.

    Raises:
        CheckpointError: it is no number, or the adapter is of an encoder with a
            decoder.
    """
    count = content.get("num_virtual_tokens")
    if type(count) is not int:
        raise CheckpointError(
            f"adapter_config.json: num_virtual_tokens is {count!r:.60}, expected a "
            "whole number."
        )
    if content.get("num_transformer_submodules") not in (None, 1):
        raise CheckpointError(
            "adapter_config.json: num_transformer_submodules is not 1, so the adapter "
            "is of a model with encoder and decoder, which kerasft does not have."
        )
    return count


@dataclass(frozen=True, kw_only=True)
class EmbeddedPrompt(PromptMethod):
    """What methods share whose virtual tokens stand beside embedded ones.

    Positions of the text come after theirs, so where positions have a table a text may
    have `num_virtual_tokens` fewer tokens: the task's tokenizer is shortened while the
    adapter works. A decoder's head of whole texts reads the last token that is not
    padding; Hugging Face's reads the last place, padding or not, where it is given
    embedded tokens.
    """

    pool: Literal["first", "cls"] = "first"
    """What a head of whole texts reads: "first", the first virtual token or the mean of
    all with them, as in peft; or "cls", the text's own first token or its mean."""

    def problems(self):
        """Yield what is wrong."""
        yield from super().problems()
        if self.pool not in POOLS:
            yield f"pool is {self.pool!r}; known: {', '.join(POOLS)}"

    def part(self, places, **options):
        """The one `Part`; `options` are those of `PromptTokens`."""
        self.raise_unless_room(places)
        backbone = places.backbone
        layer = PromptTokens(
            self.num_virtual_tokens,
            backbone.embedding.table_width,
            self.pool == "first",
            name="prompt",
            dtype=policy_of(backbone),
            **options,
        )
        return Part("backbone", "", backbone, layer, "prompt")

    def content(self, adapter):
        """Fields of a `PromptLearningConfig`."""
        config = adapter.places.backbone.config
        return self.sizes_told(config, config.num_heads, config.embedding_size)

    @classmethod
    def told(cls, content):
        """Settings that all configs have; `pool` is in our own file alone."""
        own = content.get("kerasft") or {}
        return {
            "num_virtual_tokens": virtual_tokens_of(content),
            "pool": own.get("pool", "first"),
        }
