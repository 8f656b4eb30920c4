"""What a method of parameter-efficient fine-tuning is.

A `Method` is a small frozen dataclass of settings. Given a model's `Places` it makes
`Part`s, small layers with the weights that are trained, and says where each belongs;
an `Adapter` holds them.
"""

import abc
from dataclasses import MISSING, dataclass, fields
from numbers import Integral, Real
from types import UnionType
from typing import ClassVar, get_args, get_type_hints

import keras

from kerasft._errors import SettingsError
from kerasft.layers.norm import LayerNorm

BASE_WIDTH = 768  # of BERT-base
PLAIN = {int: Integral, float: Real, str: str, bool: bool, type(None): type(None)}


def by_width(rate: float, width: int) -> float:
    """A rate of a model of base width for another, at most four times as much.

    Adam's rate goes with 1 / width.

    Source: Yang et al. 2022 (arXiv:2203.03466), table 3.
    """
    return rate * min(BASE_WIDTH / width, 4.0)


@dataclass(frozen=True)
class Part:
    """One small layer of an adapter, and where it works.

    Args:
        path: of the place, ours.
        theirs: name of the place in the `transformers` model.
        host: the layer whose attribute `slot` it becomes.
        layer: the small layer; its `tensors()` are (end of their key, weight, whether
            theirs is the transpose).
        slot: name of that attribute.
    """

    path: str
    theirs: str
    host: object
    layer: keras.layers.Layer
    slot: str = "adapter"


@dataclass(frozen=True, kw_only=True)
class Method(abc.ABC):
    """Settings that all methods have; a subclass adds its own."""

    modules_to_save: tuple[str, ...] = ()
    """Further layers that are trained as a whole, and saved with the adapter."""

    kind: ClassVar[str]
    """Key in `METHODS`."""
    peft_type: ClassVar[str | None]
    """What `adapter_config.json` calls it; None: its files are the `adapters`
    library's, for peft has no such method."""
    learning_rate: ClassVar[float]
    """A good one to begin with; see `rate_for`."""
    merges: ClassVar[bool] = True
    """Whether the model's own weights can take the change over."""
    keeps_outputs: ClassVar[bool] = True
    """Whether a fresh adapter changes nothing."""
    needs_kernels: ClassVar[bool] = False
    """Whether it needs the frozen matrices as they are, unrounded."""
    model_prefix: ClassVar[str] = "base_model.model."
    """What the keys of the model's own weights begin with in the file."""

    def __post_init__(self):
        problems = _all_problems(self)
        if problems:
            raise SettingsError(f"{type(self).__name__}: {'; '.join(problems)}.")

    def rate_for(self, width: int) -> float:
        """A good learning rate for a model of this hidden width."""
        return self.learning_rate

    def __str__(self):
        """The settings that are not the usual ones."""
        usual = {f.name: _usual(f) for f in fields(self)}
        told = [f"{n}={v!r}" for n, v in settings_of(self).items() if v != usual[n]]
        return f"{type(self).__name__}({', '.join(told)})"

    def problems(self):
        """Yield what is wrong with the settings, a clause each."""
        return ()

    @abc.abstractmethod
    def parts(self, places) -> list[Part]:
        """The small layers, with fresh weights.

        Raises:
            SettingsError: the model has no place for them.
        """

    def trained(self, places, parts) -> dict:
        """Weights of the model itself that are trained, beside the head's, by path."""
        return {}

    # --- files

    def wrapped(self, adapter):
        """Their names of the layers that peft wraps: the biases move a level down."""
        return {part.theirs for part in adapter.parts}

    @abc.abstractmethod
    def content(self, adapter) -> dict:
        """Its own fields of `adapter_config.json`."""

    @classmethod
    def fits(cls, content, reader) -> bool:
        """Whether a file of this `peft_type` is this method's; see `from_content`."""
        return True

    @classmethod
    @abc.abstractmethod
    def from_content(cls, content) -> "Method":
        """The settings that an `adapter_config.json` means.

        Raises:
            CheckpointError: it asks for something that is not done here.
        """

    def named_weights(self, adapter):
        """Yield (their key, weight, whether theirs is the transpose)."""
        for part in adapter.parts:
            for end, weight, turned in part.layer.tensors():
                yield f"base_model.model.{part.theirs}.{end}", weight, turned

    def tensors(self, adapter):
        """Yield (their key, array) of the small layers' weights, as they are saved."""
        for key, weight, turned in self.named_weights(adapter):
            array = keras.ops.convert_to_numpy(weight)
            yield key, array.T if turned else array

    def num_unsaved(self, adapter):
        """How many more weights are trained than a file holds in their stead."""
        return 0

    def resized(self, content, shapes):
        """The settings with what only the file's shapes tell.

        Args:
            content: `adapter_config.json`.
            shapes: their key -> shape.
        """
        return self

    def fill(self, adapter, read, shapes, content, strict=True):
        """Set the small layers' weights.

        Args:
            adapter: whose.
            read: their key -> array.
            shapes: their key -> shape.
            content: `adapter_config.json`.
            strict: whether nothing is set if something does not fit; else what fits is.

        Returns:
            The keys that were used, and a sentence for each that does not fit.
        """
        ready, used, misfits = [], set(), []
        for key, weight, turned in self.named_weights(adapter):
            wanted = tuple(weight.shape)[::-1] if turned else tuple(weight.shape)
            if key not in shapes:
                misfits.append(f"{key}: missing; the adapter needs {wanted}")
                continue
            used.add(key)
            if shapes[key] != wanted:
                misfits.append(f"{key}: has shape {shapes[key]}, expected {wanted}")
            else:
                ready.append((key, weight, turned))
        if not misfits or not strict:
            for key, weight, turned in ready:
                array = read(key)
                weight.assign(array.T if turned else array)
        return used, misfits

    # --- while training

    def keeper(self, parts):
        """A layer that watches over the parts while they are trained, or None."""
        return None

    def begin_fit(self, adapter, total):
        """Get ready for a fit of `total` steps; None: that is not known."""
        return None

    def penalty(self, adapter):
        """What the loss of a step grows by, or None."""
        return None

    def follow_step(self, adapter, gradients):
        """What is done after each step of the optimizer.

        Args:
            adapter: whose parts were trained.
            gradients: id of a weight -> its gradient.
        """
        return None


def biases_of(places, chosen=None):
    """{path: weight} of all biases, those of norms among them, or of some places."""
    found = {}
    for place in places.all if chosen is None else chosen:
        name = "beta" if isinstance(place.layer, LayerNorm) else "bias"
        weight = getattr(place.layer, name, None)
        if isinstance(weight, keras.Variable):
            found[places.weight(place, name)] = weight
    return found


def _usual(field):
    """Default of a field."""
    made = field.default_factory is not MISSING
    return field.default_factory() if made else field.default


def settings_of(method) -> dict:
    """The fields of a method, as plain data."""
    return {f.name: getattr(method, f.name) for f in fields(method)}


def _all_problems(method):
    """What a method says is wrong, and what is of the wrong type."""
    wrong, found = dict(_wrong_types(method)), []
    try:
        for problem in method.problems():
            found.append(problem)
    except TypeError:  # The wrong type cannot be compared with bounds.
        if not wrong:
            raise
    told = {problem.split(" ")[0] for problem in found}
    return found + [clause for name, clause in wrong.items() if name not in told]


def _wrong_types(method):
    """(name, clause) of each number, word or switch of a method that is none."""
    hints = get_type_hints(type(method))
    for field in fields(method):
        hint = hints[field.name]
        kinds = get_args(hint) if isinstance(hint, UnionType) else (hint,)
        value = getattr(method, field.name)
        if not all(kind in PLAIN for kind in kinds):
            continue
        fits = isinstance(value, tuple(PLAIN[kind] for kind in kinds))
        if not fits or (isinstance(value, bool) and bool not in kinds):
            names = " or ".join(getattr(k, "__name__", str(k)) for k in kinds)
            yield field.name, f"{field.name} is {value!r}, expected {names}"
