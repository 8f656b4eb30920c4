"""Flags and recipes from a settings dataclass, through jsonargparse.

A settings class in, a parser out: each field is a flag, each class it inherits from a
group of the help. The same parser reads and writes YAML recipes, so a recipe and a
command line can say the same things.
"""

import re
from argparse import ArgumentError
from dataclasses import MISSING, asdict, fields
from functools import cache

from jsonargparse import ActionConfigFile, ActionYesNo, ArgumentParser, Namespace

from kerasft._errors import SettingsError
from kerasft.training.settings import Settings


def parser_of(settings: type[Settings], **about: str) -> ArgumentParser:
    """A parser with one flag for each field of `settings`, dashes for underscores.

    Args:
        settings: the class.
        **about: `usage` and `description`, for the help.
    """
    parser = ArgumentParser(exit_on_error=False, print_config="--print-config", **about)
    parser.add_argument(
        "--config", action=ActionConfigFile, help="recipe (YAML); later flags override"
    )
    for heading, group in _groups(settings).items():
        arguments = parser.add_argument_group(heading)
        for f in group:
            _add(arguments, f)
    return parser


_parser = cache(parser_of)  # To make one takes longer than to read with it.


def _groups(settings):
    """Heading -> fields, of the class itself and of each that it inherits from."""
    groups, left = {}, {f.name: f for f in fields(settings)}
    for owner in settings.__mro__[:-1]:
        names = [name for name in owner.__annotations__ if name in left]
        heading = owner.__doc__.strip().split("\n")[0].rstrip(".")
        groups[heading] = [left.pop(name) for name in names]
    return {heading: group for heading, group in groups.items() if group}


def _add(group, f):
    if f.metadata["positional"]:
        may = {} if f.default is MISSING else {"nargs": "?", "default": f.default}
        group.add_argument(f.name, type=f.type, help=f.metadata["help"], **may)
        return
    how = {"type": f.type}
    if f.type is bool:  # --flag, --no-flag, --flag true and --flag=false.
        how = {"action": ActionYesNo(no_prefix="no-"), "nargs": "?"}
    if f.metadata["repeated"]:
        how = {"action": "append", "type": text}
    how |= {"required": True} if f.default is MISSING else {"default": f.default}
    flag = f"--{f.name.replace('_', '-')}"
    group.add_argument(flag, help=f.metadata["help"], **how)


class text(str):  # noqa: N801 - so the help says "type: text"
    """A flag's text, or all texts of a recipe, which jsonargparse checks as one."""

    def __new__(cls, value):
        """The value itself."""
        return value if isinstance(value, list) else str(value)


def settings_from(settings: type[Settings], parsed: Namespace) -> Settings:
    """The settings that were parsed."""
    values = {f.name: parsed[f.name] for f in fields(settings)}
    for f in fields(settings):
        if f.metadata["repeated"] and isinstance(values[f.name], str):
            values[f.name] = [values[f.name]]  # A recipe may say just one.
    return settings(**values)


def to_yaml(settings: Settings, without: tuple[str, ...] = ()) -> str:
    """A recipe: all settings but some, in the order of their definition."""
    parser = _parser(type(settings))
    parsed = parser.parse_object(asdict(settings))
    for name in without:
        parsed.pop(name)
    return parser.dump(parsed, skip_unset=False, skip_validation=bool(without))


def changed(settings: Settings, changes: dict) -> Settings:
    """The same settings with some others, checked as those of a recipe are.

    Args:
        settings: to begin with.
        changes: by name; "peft.rank" is one in a dict, whose `method` may be its all.

    Raises:
        SettingsError: values of another type, or out of bounds.
    """
    values = asdict(settings)
    for name, value in changes.items():
        owner, _, part = name.partition(".")
        if not part:
            values[owner] = value
            continue
        given = values[owner]
        given = {"method": given} if isinstance(given, str) else dict(given or {})
        values[owner] = given | {part: value}
    try:
        parsed = _parser(type(settings)).parse_object(values)
    except (ArgumentError, TypeError) as error:
        raise SettingsError(readable(error)) from error
    return settings_from(type(settings), parsed)


def from_yaml(settings: type[Settings], path) -> Settings:
    """The settings in the recipe `path`.

    Raises:
        SettingsError: no such file, not YAML, or not settings of this kind.
    """
    try:
        parsed = _parser(settings).parse_path(str(path))
    except (ArgumentError, TypeError, OSError) as error:
        raise SettingsError(f"{path}: {readable(error)}") from error
    return settings_from(settings, parsed)


def readable(error) -> str:
    """A message of jsonargparse, with flags as the user types them."""
    text = re.sub(r"^Parser key \"(?:\w+\.)?(\w+)\":\s*", _flag, str(error))
    text = re.sub(r"(required: )(.*)", _flags, text)
    text = re.sub(r"Does not validate against(.|\n)*Given value: ", "Cannot be ", text)
    text = re.sub(r"<class '(\w+)'>|typing\.", r"\1", text)
    text = text.replace("invalid _boolean_type value:", "neither true nor false:")
    text = text.replace("Problems parsing config: ", "--config: This is no YAML: ")
    return text.replace('"<unicode string>", ', "")


def _flag(match):
    return f"--{match[1].replace('_', '-')}: "


def _flags(match):
    names = [name.rpartition(".")[2] for name in match[2].split(", ")]
    return match[1] + ", ".join(f"--{name.replace('_', '-')}" for name in names)
