"""What a search may vary: lists and ranges over settings, as KerasTuner's parameters.

A dict of a recipe in, a function of KerasTuner's `hp` out; every value is tried on the
settings first, so that a mistake is told before hours of training. The trap: KerasTuner
takes plain values of one type, so lists of others (null, dicts) go in as JSON.
"""

import json
import math
from dataclasses import fields

from kerasft._errors import KerasftError, SettingsError
from kerasft._registry import Registry
from kerasft.workflows.flags import changed

RANGE = ("min", "max", "step", "sampling")
SAMPLING = ("linear", "log", "reverse_log")
FIXED = (
    *("out", "tensorboard", "monitor", "task", "problem", "labels"),
    *("validation", "test", "folds", "fold"),
)
"""Settings that all trials share, else their scores could not be compared."""


class Space:
    """A checked space.

    Args:
        given: setting -> list of values, or a range: `min`, `max` and, where wanted,
            `step` and `sampling` ("linear", "log", "reverse_log"). "peft.rank" is a
            setting of the adapter's method.
        settings: of the run, which each value is tried on.

    Raises:
        SettingsError: names that are no settings, values that do not fit, empty lists,
            bad ranges; all of them told at once.
    """

    def __init__(self, given: dict, settings):
        if not given or not isinstance(given, dict):
            raise SettingsError(
                "space is empty; name what to search, such as "
                "{learning_rate: {min: 1e-5, max: 1e-3, sampling: log}, "
                "batch_size: [8, 16, 32]}."
            )
        self.given = {name: _plain(value) for name, value in given.items()}
        self.fields = {f.name: f.type for f in fields(settings)}
        problems = [
            f"{name}: {problem}"
            for name, value in self.given.items()
            if (problem := self._problem(name, value))
        ]
        if not problems:
            problems = self._misfits(settings)
        if problems:
            raise SettingsError("space: " + "\nspace: ".join(problems))

    def declare(self, hp) -> dict:
        """Tell KerasTuner of the space, and take values from it.

        Returns:
            Setting -> value.
        """
        return {name: self._take(hp, name) for name in self.given}

    def raise_unless_countable(self):
        """Refuse ranges without steps, which a grid cannot go through.

        Raises:
            SettingsError: names them.
        """
        endless = [
            name
            for name, value in self.given.items()
            if isinstance(value, dict)
            and "step" not in value
            and not (self._is_whole(name, value) and _is_linear(value))
        ]
        if endless:
            raise SettingsError(
                f"A grid goes through all values, but {', '.join(endless)} has a range "
                "without `step`. Give a step or a list."
            )

    def _problem(self, name, value):
        owner, _, part = name.partition(".")
        if owner in FIXED:
            return "is the same for all trials; leave it out of the space."
        if owner not in self.fields or (part and "dict" not in str(self.fields[owner])):
            return _unknown(name, self.fields)
        if isinstance(value, list):
            return "" if value else "the list is empty; give values."
        if isinstance(value, dict):
            return _bad_range(value, self._is_whole(name, value))
        return f"is {value!r}; give a list of values, or a range with min and max."

    def _misfits(self, settings):
        """What the settings say to each value, the others at their first."""
        firsts = {name: _tried(value)[0] for name, value in self.given.items()}
        problems = []
        for name, value in self.given.items():
            for one in _tried(value):
                try:
                    changed(settings, firsts | {name: one})
                except KerasftError as error:
                    problems.append(f"{name}: {one!r}: {error}")
        return list(dict.fromkeys(problems))

    def _is_whole(self, name, value):
        """Whether a range is of whole numbers."""
        kind = str(self.fields.get(name, ""))
        ends = [value.get(key) for key in ("min", "max")]
        if "float" in kind:
            return False
        return all(isinstance(end, int) for end in ends)

    def _take(self, hp, name):
        value = self.given[name]
        if isinstance(value, dict):
            make = hp.Int if self._is_whole(name, value) else hp.Float
            how = {"sampling": value.get("sampling", "linear")}
            if "step" in value:
                how["step"] = value["step"]
            return make(name, value["min"], value["max"], **how)
        if len({type(one) for one in value}) == 1 and isinstance(
            value[0], bool | int | float | str
        ):
            return hp.Choice(name, value)
        return json.loads(hp.Choice(name, [json.dumps(one) for one in value]))


def _plain(value):
    """Lists of whole numbers and others as numbers of one type."""
    if isinstance(value, list | tuple):
        value = list(value)
        kinds = {type(one) for one in value}
        return [float(one) for one in value] if kinds == {int, float} else value
    return value


def _tried(value):
    """The values that a space's bounds stand for."""
    return value if isinstance(value, list) else [value["min"], value["max"]]


def _unknown(name, known):
    try:
        Registry("setting", **known)[name]
    except KerasftError as error:
        return str(error).split(" Known: ")[0]


def _bad_range(value, whole):
    strange = [key for key in value if key not in RANGE]
    if strange or not {"min", "max"} <= set(value):
        found = ", ".join(map(str, value))
        return f"has {found}; a range has {', '.join(RANGE)}, the last two if wanted."
    numbers = {key: value[key] for key in RANGE[:3] if key in value}
    for key, number in numbers.items():
        fits = isinstance(number, int | float) and not isinstance(number, bool)
        if not fits or not math.isfinite(number):
            return f"{key} is {number!r}; it is a number."
    if not value["min"] < value["max"]:
        return f"min is {value['min']}, and max, {value['max']}, is not above it."
    sampling = value.get("sampling", "linear")
    if sampling not in SAMPLING:
        return f"sampling is {sampling!r}; known: {', '.join(SAMPLING)}."
    if sampling != "linear" and value["min"] <= 0:
        return f"min is {value['min']}; for {sampling} sampling it is above 0."
    step, least = value.get("step"), 0 if sampling == "linear" else 1
    if step is not None and step <= least:
        return f"step is {step}; for {sampling} sampling it is above {least}."
    if whole and step is not None and not isinstance(step, int):
        return f"step is {step}; between whole numbers it is whole, too."
    return ""


def _is_linear(value):
    return value.get("sampling", "linear") == "linear"
