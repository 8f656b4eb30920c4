"""The adapters of a model: which there are, which one works, what is trained.

At most one works at a time. The model's own weights are never changed by it but where
they are trained in place, and by `merge`, which keeps copies.
"""

import keras
import numpy as np
from keras import ops

from kerasft._errors import SettingsError
from kerasft.layers.next_token import TiedDense
from kerasft.peft.adapter import Adapter
from kerasft.peft.combine import combined, raise_unless_known
from kerasft.peft.lora import LoRA


class AdapterStack:
    """Adapters by name.

    Args:
        places: the model's `Places`.
    """

    def __init__(self, places):
        self.places = places
        self.adapters = {}
        self.active = None
        self.merged = None  # Name of the merged adapter, while it is.
        self._undo = []  # Functions that give the merged layers their own weights.
        self._before = {}  # Values of weights before any adapter trained them.
        self._trainable = None  # What was trainable before the first adapter.

    def weights(self):
        """The model's weights, its adapters' aside."""
        return [*self.places.backbone.weights, *self.places.head.weights]

    def add(self, method, name):
        """Make an adapter; it does not work yet.

        Raises:
            SettingsError: the name is taken, or the model has no place for it.
        """
        if name in self.adapters:
            raise SettingsError(
                f"There is an adapter {name!r} already. Give another name, or delete "
                "it first."
            )
        if not name.isidentifier():
            raise SettingsError(
                f"{name!r} is no name for an adapter: letters, digits and _ alone, for "
                "it names a folder, too."
            )
        self.refuse_merged("add an adapter")
        adapter = Adapter(method, self.places, name)
        if self._trainable is None:
            self._trainable = [(w, w.trainable) for w in self.weights()]
        for path, weight in adapter.in_place.items():
            self._before.setdefault(path, ops.convert_to_numpy(weight))
            adapter.values[path] = self._before[path]
        self.adapters[name] = adapter
        return adapter

    def activate(self, name):
        """Let one adapter work, or none (None); its weights alone are trained.

        Raises:
            SettingsError: there is no such adapter, or one is merged.
        """
        self.refuse_merged("switch adapters")
        chosen = None if name is None else self.named(name)
        current = self.adapters.get(self.active)
        if current is not None:
            current.remember()
            current.detach()
            for path, weight in current.in_place.items():
                weight.assign(self._before[path])
        if chosen is not None:
            chosen.recall()
            chosen.attach()
        self.active = name
        self._set_trainable()

    def _set_trainable(self):
        """Only the working adapter's weights, and those it trains in place."""
        current = self.adapters.get(self.active)
        own = set() if current is None else {id(w) for w in current.in_place.values()}
        for weight in self.weights():
            if not _is_state(weight):
                weight.trainable = id(weight) in own
        for adapter in self.adapters.values():
            for weight in adapter.weights_of_parts:
                weight.trainable = True
            adapter.trainable = adapter is current

    def learning_rate(self, width):
        """What suits the working adapter, or the whole model of this width."""
        return 5e-5 if self.active is None else self.named(None).method.rate_for(width)

    def named(self, name):
        """The adapter of this name; None: the one that works.

        Raises:
            SettingsError: there is none.
        """
        name = self.active if name is None else name
        if name not in self.adapters:
            known = ", ".join(self.adapters) or "none"
            what = "No adapter is active" if name is None else f"No adapter {name!r}"
            raise SettingsError(f"{what}; there are: {known}.")
        return self.adapters[name]

    def remove(self, name):
        """Take an adapter away; after the last one all is trained as before."""
        adapter = self.named(name)
        if self.merged == name:
            self.unmerge()
        if self.active == name:
            self.activate(None)
        del self.adapters[name]
        if not self.adapters:
            self._restore_trainable()
        return adapter

    def _restore_trainable(self):
        for weight, trainable in self._trainable or ():
            weight.trainable = trainable
        self._trainable, self._before = None, {}

    def combine(self, names, weights, into, how):
        """Make one LoRA of several; it does not work yet.

        Args:
            names: of the LoRAs.
            weights: how much of each.
            into: name of the new one.
            how: `way`, `rank`, `density` and `seed` of `combine.combined`.

        Raises:
            SettingsError: they are no LoRAs at the same places, or of ranks that the
                way cannot take.
        """
        raise_unless_known(how["way"], how["density"])
        chosen = [self.named(name) for name in names]
        _raise_unless_alike(chosen, weights, how["way"])
        if self.active in names:
            self.named(None).remember()
        parts = list(zip(*(adapter.parts for adapter in chosen), strict=True))
        ranks = [part.layer.rank for part in parts[0]]
        rank = sum(ranks) if how["way"] == "cat" else how["rank"] or max(ranks)
        targets = tuple(part[0].path for part in parts)
        adapter = self.add(LoRA(rank=rank, alpha=rank, targets=targets), into)
        for made, given in zip(adapter.parts, parts, strict=True):
            layers = [part.layer for part in given]
            first, second = combined(
                [layer.factors() for layer in layers],
                np.array([layer.scale for layer in layers]),
                weights,
                **how | {"rank": rank},
            )
            made.layer.lora_a.assign(first)
            made.layer.lora_b.assign(second)
        for path, before in adapter.values.items():
            shares = zip(weights, chosen, strict=True)
            moves = [share * (one.values[path] - before) for share, one in shares]
            adapter.values[path] = before + sum(moves)
        return adapter

    # --- merging

    def merge(self):
        """Let the model's own weights take over what the working adapter does.

        Raises:
            SettingsError: no adapter works, it cannot be merged, or the result is not
                finite; nothing is changed then.
        """
        self.refuse_merged("merge")
        adapter = self.named(None)
        ready = [(part.host, *_merged(adapter, part)) for part in adapter.parts]
        adapter.detach()
        self._undo = [self._set(*new) for new in ready]
        self.merged = self.active

    def _set(self, host, kernel, bias):
        """Give a layer other weights; what undoes it."""
        if isinstance(host, TiedDense):  # Its table is the token embedding's, too.
            return self.places.untie(kernel)
        own = _own(host)
        _set_own(host, kernel, bias)
        return lambda: _set_own(host, *own)

    def unmerge(self):
        """Give the model its own weights back, to the last bit.

        Raises:
            SettingsError: nothing is merged.
        """
        if self.merged is None:
            raise SettingsError("No adapter is merged.")
        for undo in self._undo:
            undo()
        self.adapters[self.merged].attach()
        self.merged, self._undo = None, []

    def forget_merged(self):
        """Keep what is merged for good; all adapters are gone."""
        self.merged, self.active, self._undo = None, None, []
        gone, self.adapters = list(self.adapters), {}
        self._restore_trainable()
        return gone

    def refuse_merged(self, wish):
        """Refuse what cannot be while an adapter is merged.

        Raises:
            SettingsError: one is.
        """
        if self.merged is not None:
            raise SettingsError(
                f"Adapter {self.merged!r} is merged: call unmerge_adapter() before you "
                f"{wish}."
            )


def _raise_unless_alike(chosen, weights, way):
    """Refuse adapters that cannot be made into one.

    Raises:
        SettingsError: that is the case.
    """
    others = [a.name for a in chosen if type(a.method) is not LoRA]
    if others or len(chosen) < 1 or len(weights) != len(chosen):
        raise SettingsError(
            "Combined are LoRAs, one weight for each; given: "
            f"{len(chosen)} adapters, {len(weights)} weights"
            + (f", not LoRAs: {', '.join(others)}." if others else ".")
        )
    places = [[part.path for part in adapter.parts] for adapter in chosen]
    heads = [set(adapter.in_place) for adapter in chosen]
    if any(one != places[0] for one in places) or any(one != heads[0] for one in heads):
        raise SettingsError(
            "Combined are LoRAs that change the same layers and train the same weights "
            "of the model; these differ in their targets or biases."
        )
    ranks = {part.layer.rank for adapter in chosen for part in adapter.parts}
    if way != "cat" and not way.endswith("svd") and len(ranks) > 1:
        raise SettingsError(
            f"Way {way!r} needs LoRAs of one rank; these have {sorted(ranks)}. Take "
            "'svd' or 'cat'."
        )


def _is_state(weight):
    """Whether it is the state of a random generator."""
    return not keras.backend.is_float_dtype(weight.dtype)


def _own(host):
    """Kernel (or table) and bias of a layer, as arrays."""
    kernel = host.embeddings if hasattr(host, "embeddings") else host.kernel
    bias = getattr(host, "bias", None)
    return ops.convert_to_numpy(kernel), bias if bias is None else ops.convert_to_numpy(
        bias
    )


def _set_own(host, kernel, bias):
    weight = host.embeddings if hasattr(host, "embeddings") else host.kernel
    weight.assign(kernel)
    if bias is not None:
        host.bias.assign(bias)


def _merged(adapter, part):
    """The kernel and bias that a part makes of its host's.

    Raises:
        SettingsError: the method cannot, or the result is not finite.
    """
    method = type(adapter.method).__name__
    if not adapter.method.merges:
        raise SettingsError(
            f"{method} cannot be merged into the model's weights. Save the adapter "
            "(save_adapter), or export with it in place."
        )
    if getattr(part.host, "quantization_mode", None) is not None:
        raise SettingsError(
            f"{part.path} is quantised ({part.host.quantization_mode}), so nothing can "
            "be merged into it. Load the checkpoint unquantised, load the adapter, and "
            "merge there."
        )
    kernel, bias = part.layer.merged(*_own(part.host))
    if not np.isfinite(kernel).all():
        raise SettingsError(
            f"{part.path}: merging would give NaN or infinity. The run that made the "
            "adapter had diverged."
        )
    return kernel, bias
