"""How text is generated, as settings of a command: the fields of `Sampling`.

Names, defaults and words of help stand in `Sampling` alone; here they become flags.
"""

import re
from dataclasses import dataclass, fields, make_dataclass

from kerasft._errors import SettingsError
from kerasft.sampling.settings import Sampling
from kerasft.training.settings import Settings, setting


def _told(settings) -> dict[str, str]:
    """Name -> what the docstring's Args say of it, in one line."""
    args = settings.__doc__.partition("Args:\n")[2].partition("\n\n")[0]
    found = re.split(r"^ {8}(\w+): ", args, flags=re.MULTILINE)[1:]
    words = (" ".join(text.split()).rstrip(".") for text in found[1::2])
    return dict(zip(found[::2], words, strict=True))


def _fields():
    """(name, type, field) of each setting; texts that end one are a list, or None."""
    told = _told(Sampling)
    for f in fields(Sampling):
        many = f.name == "stop"
        default = None if many else f.default
        kind = list[str] | None if many else f.type
        yield f.name, kind, setting(default, told[f.name], repeated=many)


_Fields = make_dataclass(
    "_Fields",
    _fields(),
    bases=(Settings,),
    namespace={"__doc__": "Generation."},
    frozen=True,
    kw_only=True,
)


@dataclass(frozen=True, kw_only=True)
class SamplingSettings(_Fields):
    """Generation."""

    @property
    def sampling(self) -> dict:
        """What `CausalLM.generate` is given."""
        told = {f.name: vars(self)[f.name] for f in fields(Sampling)}
        return told | {"stop": tuple(self.stop or ())}

    def conflicts(self):
        """Settings that do not go together, one sentence each."""
        problems = super().conflicts()
        try:
            Sampling(**self.sampling)
        except SettingsError as error:
            problems.append(str(error))
        return problems
