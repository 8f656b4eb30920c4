"""What the workflows share of their settings: frozen dataclasses, checked when made.

Name, type, default, help and bounds of a setting stand here once; the flags of the
command line and the keys of a recipe are made of them. A class is a group of flags,
its docstring's first line the heading. Nothing heavy is imported, for `--help`.
"""

from dataclasses import (
    MISSING,
    dataclass,
    field,
    fields,
    make_dataclass,
)
from typing import Any, Literal, get_args, get_origin

from kerasft._errors import KerasftError, SettingsError

Files = list[str] | str


def setting(default=MISSING, help="", bounds=None, positional=False, repeated=False):
    """A field of a settings class.

    Args:
        default: left out where the setting must be given.
        help: one line, with the unit.
        bounds: (predicate, words), such as `at_least(1)`.
        positional: on the command line it is given without its name.
        repeated: on the command line each item of the list has the name before it.
    """
    about = {"help": help, "bounds": bounds, "positional": positional}
    about["repeated"] = repeated
    return field(default=default, metadata=about)


def at_least(low):
    """Bounds of a number: `low` or more."""
    return lambda value: value >= low, f"at least {low}"


def above(low):
    """Bounds of a number: more than `low`."""
    return lambda value: value > low, f"above {low}"


def between(low, high):
    """Bounds of a number: from `low` to below `high`."""
    return lambda value: low <= value < high, f"from {low} to below {high}"


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Options.

    Raises:
        SettingsError: values out of bounds, all of them told at once.
    """

    def __post_init__(self):
        values = {f: vars(self)[f.name] for f in fields(self)}
        problems = [
            problem
            for f, value in values.items()
            if value is not None and (problem := _problem(f, value))
        ]
        problems += [
            f"{f.name} must be given"
            for f, value in values.items()
            if value is None and f.default is MISSING
        ]
        problems += self.conflicts()
        if problems:
            raise SettingsError("\n".join(problems))

    def conflicts(self) -> list[str]:
        """Settings that do not go together, one sentence each."""
        return []

    def changed(self) -> list[str]:
        """Names of settings that are not their defaults."""
        return [f.name for f in fields(self) if vars(self)[f.name] != f.default]


def _problem(f, value):
    if get_origin(f.type) is Literal or Literal in map(get_origin, get_args(f.type)):
        known = _choices(f.type)
        if value not in known:
            return f"{f.name} is {value!r}; known: {', '.join(known)}."
    bounds = f.metadata["bounds"]
    if bounds is None:
        return ""
    fits, words = bounds
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return "" if number and fits(value) else f"{f.name} is {value!r}; it is {words}."


def _choices(kind):
    if get_origin(kind) is Literal:
        return get_args(kind)
    return [name for part in get_args(kind) for name in _choices(part)]


def overrides(settings: type, heading: str) -> type:
    """The same settings, where None (the default) means: as the run was trained."""
    rows = [
        (f.name, f.type | None, field(default=None, metadata=f.metadata))
        for f in fields(settings)
    ]
    return make_dataclass(
        f"{settings.__name__}Overrides",
        rows,
        bases=(Settings,),
        namespace={"__doc__": heading},
        frozen=True,
        kw_only=True,
    )


@dataclass(frozen=True, kw_only=True)
class ModelSettings(Settings):
    """Model."""

    max_length: int | None = setting(
        None,
        "longer texts are cut to this many tokens; null: as many as the model takes",
        at_least(1),
    )
    precision: Literal["float32", "mixed_bfloat16", "mixed_float16"] = setting(
        "float32", "of the computation"
    )


@dataclass(frozen=True, kw_only=True)
class TrainingSettings(Settings):
    """Training."""

    epochs: int = setting(3, "passes over the training rows", at_least(1))
    batch_size: int = setting(16, "rows of a step, over all devices", at_least(1))
    learning_rate: float | None = setting(
        None,
        "peak, at the end of the warm-up; null: 5e-5, or what suits the adapter",
        above(0),
    )
    warmup: float = setting(0.1, "share of all steps spent rising", between(0, 1))
    schedule: Literal["linear", "cosine", "constant"] = setting(
        "linear", "of the learning rate after the warm-up"
    )
    weight_decay: float = setting(
        0.01, "decoupled; not for biases and norms", at_least(0)
    )
    clip_norm: float | None = setting(
        1.0, "largest norm of all gradients together; null: no clipping", above(0)
    )
    layer_decay: float | None = setting(
        None, "rate of each layer relative to the one above it", above(0)
    )
    micro_batches: int = setting(
        1, "parts that a batch is worked through in, to save memory", at_least(1)
    )
    tokens_per_batch: int | None = setting(
        None, "most tokens of a batch, padding included", at_least(1)
    )
    jit_compile: bool | None = setting(None, "compile with XLA; null: Keras chooses")
    strategy: str = setting(
        "auto",
        "devices to train on: auto, none, one, mirrored, multi_worker, tpu; on JAX "
        "model_parallel, too",
    )
    seed: int = setting(0, "of the split, the shuffling, new weights and dropout")
    monitor: str = setting(
        "val_loss", "what the best epoch is chosen by, where there are validation rows"
    )
    patience: int = setting(
        0, "epochs without a better one before stopping; 0: never", at_least(0)
    )


@dataclass(frozen=True, kw_only=True)
class AdapterSettings(Settings):
    """Adapter."""

    peft: dict[str, Any] | str | None = setting(
        None,
        "train small parts beside the frozen model: lora, dora, adalora, ia3, bitfit, "
        "...; settings of the method follow as --peft.rank 16",
    )
    quantize: Literal["int8", "int4"] | None = setting(
        None, "round the frozen model's matrices to 8 or 4 bits, under an adapter"
    )

    @property
    def method(self):
        """The `Method` that `peft` means, or None.

        Raises:
            KerasftError: there is no such method, or its settings do not fit.
        """
        if self.peft is None:
            return None
        # Here, because methods need Keras, which is not for `--help`.
        from kerasft.peft.chosen import method_of

        return method_of(self.peft)

    def conflicts(self):
        """Settings that do not go together, one sentence each."""
        problems = super().conflicts()
        try:
            method = self.method
        except KerasftError as error:
            return [*problems, str(error)]
        if self.quantize and method is None:
            problems.append("quantize needs an adapter to train; give `peft`.")
        if self.quantize and method is not None and method.needs_kernels:
            problems.append(
                f"quantize does not go with {method.kind}, which needs the matrices as "
                "they are. Take lora."
            )
        return problems


@dataclass(frozen=True, kw_only=True)
class LossSettings(Settings):
    """Loss of labels."""

    label_smoothing: float = setting(
        0.0, "share of the target given to all labels alike", between(0, 1)
    )
    focal_gamma: float = setting(
        0.0, "how much less rows count that are right already; 2 is usual", at_least(0)
    )
    rdrop_alpha: float = setting(
        0.0,
        "how much two passes with other dropout must agree; 0: one pass",
        at_least(0),
    )
    class_weight: dict[str | int, float] | str | None = setting(
        None, "weight of each label in the loss, or 'balanced'"
    )

    def conflicts(self):
        """Settings that do not go together, one sentence each."""
        problems = super().conflicts()
        if isinstance(self.class_weight, str) and self.class_weight != "balanced":
            problems.append(
                f"class_weight is {self.class_weight!r}; give 'balanced', or a weight "
                "for each label."
            )
        return problems
