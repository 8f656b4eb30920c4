"""Prompt tuning: learnt vectors before the embedded tokens of each text.

Source: Lester et al. 2021 (arXiv:2104.08691), section 2.
"""

from dataclasses import dataclass
from typing import ClassVar, Literal

import keras
import numpy as np
from keras import ops

from kerasft._errors import SettingsError
from kerasft.peft.prompted import EmbeddedPrompt
from kerasft.peft.virtual import standard_normal

INITS = ("random", "vocabulary", "text")


@dataclass(frozen=True, kw_only=True)
class PromptTuning(EmbeddedPrompt):
    """Virtual tokens beside the embedded ones (Lester et al. 2021).

    See `EmbeddedPrompt` for what becomes of long texts.
    """

    init: Literal["random", "vocabulary", "text"] = "random"
    """How they begin: N(0, 1), which is far from any token; as random tokens of the
    vocabulary; or as those of `text`, over and over."""
    text: str | None = None
    """What init="text" begins with."""

    kind: ClassVar[str] = "prompt"
    peft_type: ClassVar[str] = "PROMPT_TUNING"
    learning_rate: ClassVar[float] = 0.3
    """That of Lester et al. 2021 (arXiv:2104.08691), section 3."""

    def problems(self):
        """Yield what is wrong."""
        yield from super().problems()
        if self.init not in INITS:
            yield f"init is {self.init!r}; known: {', '.join(INITS)}"
        elif (self.init == "text") != bool(self.text):
            yield "init='text' needs text, and no other init takes any"

    def parts(self, places):
        """One layer, the prompt.

        Raises:
            SettingsError: no positions left for texts; a text without tokens.
        """
        first = standard_normal
        if self.init != "random":
            vectors = _embedded(places.backbone, self._ids(places))
            first = lambda shape, dtype=None: ops.convert_to_tensor(vectors, dtype)  # noqa: E731
        return [self.part(places, first=first)]

    def _ids(self, places):
        """Token ids that it begins as, (num_virtual_tokens,)."""
        count = self.num_virtual_tokens
        if self.init == "vocabulary":
            drawn = keras.random.randint((count,), 0, places.backbone.config.vocab_size)
            return ops.convert_to_numpy(drawn)
        if places.tokenizer is None:
            raise SettingsError("init='text' needs a task with a tokenizer.")
        ids = places.tokenizer.encode([self.text]).ids
        if not len(ids):
            raise SettingsError(f"text is {self.text!r}, which gives no token.")
        return np.resize(ids, count)

    # --- files

    def content(self, adapter):
        """Fields of `PromptTuningConfig`."""
        source = adapter.places.checkpoint
        # peft reads no config of a text without the tokenizer's name.
        text = self.text if source else None
        names = {"random": "RANDOM", "vocabulary": "SAMPLE_VOCAB", "text": "TEXT"}
        return super().content(adapter) | {
            "prompt_tuning_init": names[self.init]
            if text or not self.text
            else "RANDOM",
            "prompt_tuning_init_text": text,
            "tokenizer_kwargs": None,
            "tokenizer_name_or_path": source if text else None,
        }

    @classmethod
    def from_content(cls, content):
        """From a `PromptTuningConfig`; how it began is of no use any more."""
        return cls(**cls.told(content))


def _embedded(backbone, ids):
    """Rows of the token embedding's table, as an array."""
    host = backbone.embedding.token_embedding
    if host.quantization_mode is not None:
        return ops.convert_to_numpy(host.plain(ids))
    return ops.convert_to_numpy(host.embeddings)[ids]
