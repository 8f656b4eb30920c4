"""Bottleneck adapters: small networks behind a part of each block, or beside it.

With h what the attention or the MLP gives and r what that is added to, h becomes

- Houlsby: `h + s · drop(A(h))`, behind both;
- Pfeiffer: `h + s · drop(A(norm(h + r)))`, behind the MLP;
- Parallel: `h + s · drop(A(r))`, beside the MLP.

The norm is the block's own of that sum, which is then run twice; blocks that normalise
before their parts have none, so it is A(h + r). An ALBERT runs one block again and
again, and so its adapter.

Sources: Houlsby et al. 2019 (arXiv:1902.00751), section 2.1; Pfeiffer et al. 2020
(arXiv:2005.00247); He et al. 2021 (arXiv:2110.04366), table 1. Where the papers leave
something open it is as in the `adapters` library 1.3.0.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import ClassVar

from kerasft._errors import SettingsError
from kerasft.layers.activation import ACTIVATIONS
from kerasft.peft import adapters_config, adapters_files
from kerasft.peft.bottleneck_layers import (
    INITS,
    SCALES,
    BehindPart,
    BehindSum,
    Beside,
    Bottleneck,
)
from kerasft.peft.hosts import policy_of
from kerasft.peft.method import Method, Part

ATTENTION, MLP = "attention_adapter", "mlp_adapter"
LEAST_FACTOR = 1 / 16  # A file from anyone could ask for any amount of memory.


@dataclass(frozen=True, kw_only=True)
class BottleneckMethod(Method):
    """Settings that bottleneck adapters share.

    Raises:
        SettingsError: numbers or names that cannot be.
    """

    reduction_factor: float | Mapping[str, float] = 16
    """The block's width divided by that in between; or such a factor for numbers of
    blocks ("0", "1") and for the others ("default")."""
    width: int | None = None
    """Width in between; None: by the `reduction_factor`."""
    activation: str = "relu"
    """A name of `kerasft.layers.activation.ACTIVATIONS`."""
    scaling: float | str = 1.0
    """Factor of what is added; "learned": one number a place, "channel": one for each
    feature, both 1 at the start."""
    dropout: float = 0.0
    """Share dropped of what is added."""
    leave_out: tuple[int, ...] = ()
    """Numbers of the blocks that have none."""
    init: str = "bert"
    """How the matrices begin, in the words of the `adapters` library: "bert": N(0,
    0.02²); "houlsby": N(0, 0.01²), cut off; "mam_adapter": the second is zeros."""

    peft_type: ClassVar[None] = None
    model_prefix: ClassVar[str] = ""
    learning_rate: ClassVar[float] = 2e-3
    merges: ClassVar[bool] = False
    kinds: ClassVar[dict[str, type[Bottleneck]]]
    """Which layer stands at which slot of a block."""
    form: ClassVar[dict[str, bool]]
    """The same in the words of `BnConfig`."""

    def problems(self):
        """Yield what is wrong."""
        factors = self.reduction_factor
        each = factors.values() if isinstance(factors, Mapping) else (factors,)
        if not all(_is_number(one) and one >= LEAST_FACTOR for one in each):
            yield f"reduction_factor is {factors}; at least {LEAST_FACTOR}"
        if self.width is not None and not (type(self.width) is int and self.width > 0):
            yield f"width is {self.width!r}; a whole number, at least 1"
        if self.activation not in ACTIVATIONS:
            known = ", ".join(ACTIVATIONS)
            yield f"activation is {self.activation!r}; known: {known}"
        if not _is_number(self.scaling) and self.scaling not in SCALES:
            yield f"scaling is {self.scaling!r}; a number, or {', '.join(SCALES)}"
        if not (_is_number(self.dropout) and 0 <= self.dropout < 1):
            yield f"dropout is {self.dropout!r}; 0 to below 1"
        if not all(type(number) is int for number in self.leave_out):
            yield f"leave_out is {self.leave_out!r}; numbers of blocks"
        if self.init not in INITS:
            yield f"init is {self.init!r}; known: {', '.join(INITS)}"

    @property
    def keeps_outputs(self):
        """Whether a fresh adapter changes nothing."""
        return self.init == "mam_adapter"

    def parts(self, places):
        """An adapter at each part that the method works on, in every block.

        Raises:
            SettingsError: blocks are left out that are not there, or all of them.
        """
        blocks, out = places.blocks, set(self.leave_out)
        if out and not out < set(range(len(blocks))):
            raise SettingsError(
                f"leave_out is {sorted(out)}, of {len(blocks)} blocks, whose numbers "
                "begin with 0; at least one must be left."
            )
        return [
            self._part(places, path, block, self._narrow(places, number), slot)
            for number, (path, block) in enumerate(blocks)
            if number not in out
            for slot in self.kinds
        ]

    def _part(self, places, path, block, narrow, slot):
        kind = self.kinds[slot]
        if slot == ATTENTION and places.family.model_type == "albert":
            kind = Beside  # The library gives it h and r the other way round.
        width = places.backbone.config.hidden_size
        layer = kind(width, narrow, self, dtype=policy_of(block))
        return Part(path, _module(places, path, slot), block, layer, slot)

    def _narrow(self, places, number):
        """Width in between, in one block.

        Raises:
            SettingsError: there is no reduction factor for it.
        """
        if self.width is not None:
            return self.width
        factor = self.reduction_factor
        if isinstance(factor, Mapping):
            factor = factor.get(str(number), factor.get("default"))
        if factor is None:
            raise SettingsError(
                f"reduction_factor has none for block {number}, and no 'default'."
            )
        return max(1, int(places.backbone.config.hidden_size // factor))

    # --- files

    def wrapped(self, adapter):
        """No layer of the model is wrapped."""
        return set()

    def content(self, adapter):
        """Fields of `BnConfig`."""
        return adapters_config.config_of(self, adapter)

    @classmethod
    def fits(cls, content, reader):
        """Whether the places and what is seen there are this method's."""
        return adapters_config.has_form(content, cls.form)

    @classmethod
    def from_content(cls, content):
        """From a `BnConfig`."""
        return cls(**adapters_config.settings(content))

    def resized(self, content, shapes):
        """With the layers of a head that the file holds beside the usual ones."""
        more = adapters_files.more_modules(shapes)
        return replace(self, modules_to_save=more)

    def named_weights(self, adapter):
        """Yield (their key, weight, whether theirs is the transpose)."""
        for part in adapter.parts:
            for end, weight, turned in part.layer.tensors():
                yield f"{part.theirs}.adapters.{adapter.title}.{end}", weight, turned


def _is_number(value):
    return type(value) in (int, float)


def _module(places, path, slot):
    """Their name of the module that holds the adapters of one slot of a block."""
    theirs = {place.path: place.theirs for place in places.all}
    norm = theirs[f"{path}/mlp_norm"]
    if slot == ATTENTION:
        norm = theirs.get(f"{path}/attention_norm", norm)
    module = norm.rpartition(".")[0]
    if module.endswith(".output"):  # BERT, and those whose modules are named like its.
        return module
    return f"{module}.{'attention' if slot == ATTENTION else 'output'}_adapters"


@dataclass(frozen=True, kw_only=True)
class Houlsby(BottleneckMethod):
    """Adapters behind the attention and behind the MLP (Houlsby et al. 2019).

    The paper trains the norms of the blocks, too; the library does not, nor is it done
    here. In an ALBERT the attention's adapter is given r, as the library has it.
    """

    activation: str = "swish"
    """A name of `kerasft.layers.activation.ACTIVATIONS`."""

    kind: ClassVar[str] = "houlsby"
    kinds: ClassVar[dict] = {ATTENTION: BehindPart, MLP: BehindPart}
    form: ClassVar[dict] = {
        "mh_adapter": True,
        "output_adapter": True,
        "is_parallel": False,
        "original_ln_before": False,
    }


@dataclass(frozen=True, kw_only=True)
class Pfeiffer(BottleneckMethod):
    """Adapters behind the MLP, of the normalised sum (Pfeiffer et al. 2020)."""

    kind: ClassVar[str] = "pfeiffer"
    kinds: ClassVar[dict] = {MLP: BehindSum}
    form: ClassVar[dict] = {
        "mh_adapter": False,
        "output_adapter": True,
        "is_parallel": False,
        "original_ln_before": True,
    }


@dataclass(frozen=True, kw_only=True)
class Parallel(BottleneckMethod):
    """Adapters beside the MLP, four times what they give (He et al. 2021)."""

    reduction_factor: float | Mapping[str, float] = 2
    """As of the others."""
    scaling: float | str = 4.0
    """As of the others."""
    init: str = "mam_adapter"
    """As of the others."""

    kind: ClassVar[str] = "parallel"
    learning_rate: ClassVar[float] = 1e-3
    kinds: ClassVar[dict] = {MLP: Beside}
    form: ClassVar[dict] = {
        "mh_adapter": False,
        "output_adapter": True,
        "is_parallel": True,
        "original_ln_before": False,
    }
