"""One named adapter: its parts, and the model's own weights that it trains.

The parts are layers of the adapter; the model's layers only know which of them stands
there now. Weights of the model that are trained in place (the head, biases) have one
set of values for each adapter.
"""

import keras
from keras import ops

from kerasft._errors import SettingsError
from kerasft.checkpoints.names import AS_THEY_ARE, SPELLINGS
from kerasft.peft.places import TASK_TYPES


class Adapter(keras.layers.Layer):
    """What a `Method` has put on a model.

    Args:
        method: the settings.
        places: the model's `Places`.
        name: of the adapter.
    """

    def __init__(self, method, places, name):
        super().__init__(name=f"adapter_{name}")
        self.title, self.method, self.places = name, method, places
        keep = object.__setattr__  # Keras would wrap and track what is in them.
        with keras.name_scope(self.name):
            keep(self, "parts", method.parts(places))
        for part in self.parts:
            setattr(self, part.path.replace("/", "_") + f"_{part.slot}", part.layer)
        self.keeper = method.keeper(self.parts)
        head = _head_weights(places, method.modules_to_save)
        keep(self, "in_place", head | method.trained(places, self.parts))
        keep(self, "head_paths", frozenset(head))
        keep(self, "values", {})
        self.built = True

    def attach(self):
        """Let the parts stand at their places."""
        for part in self.parts:
            object.__setattr__(part.host, part.slot, part.layer)

    def detach(self):
        """Leave the places empty."""
        for part in self.parts:
            object.__setattr__(part.host, part.slot, None)

    def remember(self):
        """Note the values of the model's own weights that it trains."""
        for path, weight in self.in_place.items():
            self.values[path] = ops.convert_to_numpy(weight)

    def recall(self):
        """Set them to what was noted."""
        for path, weight in self.in_place.items():
            weight.assign(self.values[path])

    @property
    def weights_of_parts(self):
        """The trained weights that are its own."""
        return [w for part in self.parts for w in part.layer.trainable_weights]

    # --- names in files

    @property
    def task_type(self):
        """What peft calls the task, or None."""
        return TASK_TYPES.get(self.places.head_name)

    @property
    def stored_as_is(self):
        """Whether the adapted kernels are stored untransposed (GPT-2's)."""
        ends = {part.theirs.rpartition(".")[2] for part in self.parts}
        return bool(ends) and ends <= set(AS_THEY_ARE)

    def modules(self, parts=None):
        """Names for `target_modules` that fit exactly these places, sorted."""
        chosen = {one.theirs for one in (self.parts if parts is None else parts)}
        every = [place.theirs for place in self.places.all]
        for depth in (1, 2):
            ends = {".".join(name.split(".")[-depth:]) for name in chosen}
            meant = {
                name
                for name in every
                if any(name == end or name.endswith(f".{end}") for end in ends)
            }
            if meant == chosen:
                return sorted(ends)
        return sorted(chosen)

    def saved_modules(self):
        """Names for `modules_to_save`, or None."""
        names = set(self.places.trained_head)
        prefix = self.places.family.prefix
        for place in self.places.all:
            kept = any(
                path.rpartition("/")[0] == _full(place) for path in self.head_paths
            )
            first = place.theirs.removeprefix(prefix).split(".")[0]
            if kept and not first.endswith(tuple(names) or ("\0",)):
                names.add(first)
        return sorted(names) or None

    def keys_in_place(self):
        """{their key: (weight, whether theirs is the transpose)} of `in_place`."""
        wrapped, found = self.method.wrapped(self), {}
        for place in self.places.all:
            for path, weight in self.in_place.items():
                layer, _, name = path.rpartition("/")
                if layer != _full(place):
                    continue
                middle = ".base_layer" if place.theirs in wrapped else ""
                end = f"{place.theirs}{middle}.{SPELLINGS[name][0]}"
                key = self.method.model_prefix + end
                as_is = place.theirs.rpartition(".")[2] in AS_THEY_ARE
                found[key] = weight, name == "kernel" and not as_is
        return found


def _full(place):
    return f"{'head' if place.in_head else 'backbone'}/{place.path}"


def _head_weights(places, more):
    """{path: weight} of the head that are trained: new ones, and the labels' layers.

    A pretrained head of tokens stays as it is.
    """
    found = {}
    for place in places.all:
        dotted = f".{place.theirs}."
        whole = any(place.is_called(n) or f".{n}." in dotted for n in more)
        whole = whole or places.trains_whole(place)
        for weight in place.layer.weights:
            name = weight.path.rpartition("/")[2]
            new = place.in_head and f"{place.path}/{name}" in places.fresh
            if name in SPELLINGS and (whole or new):
                found[places.weight(place, name)] = weight
    return found


def raise_if_lost(names, places):
    """Refuse `modules_to_save` that are not there.

    Raises:
        SettingsError: names of no layer with weights of its own.
    """
    able = [place for place in places.all if place.layer.weights]
    lost = [
        name
        for name in names
        if not any(p.is_called(name) or f".{name}." in f".{p.theirs}." for p in able)
    ]
    if lost:
        raise SettingsError(
            f"modules_to_save: {', '.join(lost)} names no layer with weights of its "
            f"own; such layers are: {', '.join(sorted({p.name for p in able}))}. A "
            "language model's tied head has none: it reads the token embedding's table."
        )
