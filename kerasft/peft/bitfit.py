"""BitFit: the biases of the model are trained, those of its norms too; nothing else.

There is no file format of its own: it is saved as a LoRA of rank 1 that changes
nothing, with `bias="all"`, which peft loads.

Source: Ben Zaken et al. 2021 (arXiv:2106.10199), section 3.
"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from kerasft._errors import SettingsError
from kerasft.peft.hosts import sizes_of
from kerasft.peft.lora import LoRA
from kerasft.peft.lora_fields import LORA_FIELDS
from kerasft.peft.method import Method, biases_of
from kerasft.peft.places import PROJECTIONS


@dataclass(frozen=True, kw_only=True)
class BitFit(Method):
    """Bias-term fine-tuning (Ben Zaken et al. 2021)."""

    kind: ClassVar[str] = "bitfit"
    peft_type: ClassVar[str] = LoRA.peft_type
    learning_rate: ClassVar[float] = 4e-3

    def parts(self, places):
        """No layers of its own."""
        return []

    def trained(self, places, parts):
        """All biases.

        Raises:
            SettingsError: the model has none.
        """
        found = biases_of(places)
        if not any(path.startswith("backbone/") for path in found):
            raise SettingsError(
                f"BitFit trains biases, and a {places.family.model_type} has none. "
                "Take LoRA or IA3."
            )
        return found

    # --- files

    def content(self, adapter):
        """Fields of a `LoraConfig` that changes nothing but biases."""
        return {
            **LORA_FIELDS,
            "r": 1,
            "lora_alpha": 1,
            "lora_dropout": 0.0,
            "target_modules": adapter.modules(self.carriers(adapter.places)),
            "bias": "all",
            "use_rslora": False,
            "use_dora": False,
            "init_lora_weights": True,
            "rank_pattern": {},
            "alpha_pattern": {},
            "fan_in_fan_out": adapter.stored_as_is,
        }

    @classmethod
    def fits(cls, content, reader):
        """A LoRA of rank 1 and all biases, whose B are zero."""
        if content.get("r") != 1 or content.get("bias") != "all":
            return False
        seconds = [key for key in reader.keys() if ".lora_B." in key]
        return bool(seconds) and not any(reader.read(key).any() for key in seconds)

    @classmethod
    def from_content(cls, content):
        """There is nothing to set."""
        return cls()

    @staticmethod
    def carriers(places):
        """Places that the file says a LoRA is at."""
        return places.in_blocks(PROJECTIONS)

    def wrapped(self, adapter):
        """Their names of the layers that peft will wrap."""
        return {place.theirs for place in self.carriers(adapter.places)}

    def tensors(self, adapter):
        """Zeros of a LoRA."""
        for place in self.carriers(adapter.places):
            width, units = sizes_of(place.layer)
            key = f"base_model.model.{place.theirs}."
            yield key + "lora_A.weight", np.zeros((1, width), "float32")
            yield key + "lora_B.weight", np.zeros((units, 1), "float32")

    def fill(self, adapter, read, shapes, content, strict=True):
        """The zeros are read over."""
        return {key for key in shapes if ".lora_A." in key or ".lora_B." in key}, []
