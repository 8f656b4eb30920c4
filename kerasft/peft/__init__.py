"""Small trainable parts beside a frozen model; all methods are in `METHODS`."""

from kerasft._registry import Registry
from kerasft.peft.adalora import AdaLoRA
from kerasft.peft.bitfit import BitFit
from kerasft.peft.bottleneck import Houlsby, Parallel, Pfeiffer
from kerasft.peft.dora import DoRA
from kerasft.peft.ia3 import IA3
from kerasft.peft.lora import LoRA
from kerasft.peft.prefix import PrefixTuning, PTuningV2
from kerasft.peft.prompt import PromptTuning
from kerasft.peft.ptuning import PTuning

__all__ = [
    "METHODS",
    "AdaLoRA",
    "BitFit",
    "DoRA",
    "Houlsby",
    "IA3",
    "LoRA",
    "PTuning",
    "PTuningV2",
    "Parallel",
    "Pfeiffer",
    "PrefixTuning",
    "PromptTuning",
]

# Where several share a file format, the first that a file fits is taken.
METHODS = Registry(
    "PEFT method",
    bitfit=BitFit,
    dora=DoRA,
    lora=LoRA,
    adalora=AdaLoRA,
    ia3=IA3,
    prefix=PrefixTuning,
    ptuning_v2=PTuningV2,
    prompt=PromptTuning,
    ptuning=PTuning,
    houlsby=Houlsby,
    pfeiffer=Pfeiffer,
    parallel=Parallel,
)
