"""Flags and recipes from a settings dataclass, through jsonargparse.

A settings class in, a parser out: each field is a flag, each class it inherits from a
group of the help. The same parser reads and writes YAML recipes, so a recipe and a
command line can say the same things.
"""

from argparse import ArgumentError, BooleanOptionalAction
from collections.abc import Mapping
from dataclasses import MISSING, asdict, fields

from jsonargparse import ActionConfigFile, ArgumentParser, Namespace

from kerasft._errors import SettingsError
from kerasft.training.settings import Settings


def parser_of(settings: type[Settings], description: str = "") -> ArgumentParser:
    """A parser with one flag for each field of `settings`, dashes for underscores."""
    parser = ArgumentParser(
        exit_on_error=False, print_config="--print-config", description=description
    )
    parser.add_argument(
        "--config", action=ActionConfigFile, help="recipe (YAML); later flags override"
    )
    seen = set()
    for group in reversed(settings.__mro__):
        own = [f for f in fields(settings) if f.name in vars(group).get(
            "__annotations__", ()) and f.name not in seen]
        if not own:
            continue
        seen |= {f.name for f in own}
        heading = group.__doc__.strip().split("\n")[0].rstrip(".")
        arguments = parser.add_argument_group(heading)
        for f in own:
            _add(arguments, f)
    return parser


def _add(group, f):
    if f.metadata["positional"]:
        group.add_argument(f.name, type=f.type, help=f.metadata["help"])
        return
    how = {"action": BooleanOptionalAction} if f.type is bool else {"type": f.type}
    how |= {"required": True} if f.default is MISSING else {"default": f.default}
    flag = f"--{f.name.replace('_', '-')}"
    group.add_argument(flag, help=f.metadata["help"], **how)


def settings_from(settings: type[Settings], parsed: Namespace) -> Settings:
    """The settings that were parsed."""
    return settings(**{f.name: parsed[f.name] for f in fields(settings)})


def to_yaml(settings: Settings) -> str:
    """A recipe: all settings, in the order of their definition."""
    parser = parser_of(type(settings))
    return parser.dump(parser.parse_object(asdict(settings)), skip_none=False)


def from_yaml(settings: type[Settings], path) -> Settings:
    """The settings in the recipe `path`.

    Raises:
        SettingsError: no such file, not YAML, or not settings of this kind.
    """
    try:
        parsed = parser_of(settings).parse_path(str(path))
    except (ArgumentError, TypeError, OSError) as error:
        raise SettingsError(f"{path}: {error}") from error
    return settings_from(settings, parsed)
