"""A method from plain words and numbers, as a command line or a recipe has them."""

from dataclasses import MISSING, fields

from kerasft._errors import SettingsError
from kerasft.peft import METHODS

KINDS = {int: (int,), float: (int, float), bool: (bool,), str: (str,)}


def method_of(chosen):
    """The `Method` that is meant.

    Args:
        chosen: a key of `METHODS`, or a dict with such a `method` and its settings.

    Raises:
        UnknownNameError: no such method.
        SettingsError: settings that it has not, or of another type; all of them told.
    """
    given = dict(chosen) if isinstance(chosen, dict) else {"method": chosen}
    name = given.pop("method", None)
    if name is None:
        raise SettingsError(
            f"peft has no method; give one of {', '.join(METHODS)} (--peft lora)."
        )
    kind = METHODS[str(name)]
    known = {f.name: f for f in fields(kind)}
    problems = [
        f"{key} is no setting of {name}; it has: {', '.join(known)}"
        for key in given
        if key not in known
    ]
    values = {key: _whole(value) for key, value in given.items() if key in known}
    problems += [
        f"{key} is {value!r}; it should be {_words(known[key].type)}"
        for key, value in values.items()
        if not _fits(value, known[key])
    ]
    if problems:
        raise SettingsError(f"peft: {'; '.join(problems)}.")
    return kind(**values)


def _whole(value):
    """Lists as tuples, because methods are frozen."""
    return tuple(value) if isinstance(value, list) else value


def _fits(value, field):
    """Whether a value is of the plain type that a field is annotated with."""
    kinds = KINDS.get(field.type)
    if kinds is None:  # Names, patterns, choices: the method looks at them itself.
        return value is not None or None in (field.default, MISSING)
    return isinstance(value, kinds) and (bool in kinds or not isinstance(value, bool))


def _words(kind):
    return {int: "a whole number", float: "a number", bool: "true or false"}.get(
        kind, "a text"
    )
