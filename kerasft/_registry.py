"""A dict of the things that can be named, which says what you meant.

>>> METHODS = Registry("PEFT method", lora=1, dora=2)
>>> METHODS["loar"]
Traceback (most recent call last):
UnknownNameError: No PEFT method named 'loar'. Did you mean 'lora'? Known: ...
"""

import difflib

from kerasft._errors import KerasftError


class UnknownNameError(KerasftError, KeyError):
    """A name that is in no registry."""

    __str__ = Exception.__str__  # KeyError would quote the whole sentence.


class Registry(dict):
    """Names to things, in the order given.

    Args:
        kind: what an entry is, for messages: "task", "model family".
        **entries: name = thing.
    """

    def __init__(self, kind: str, **entries):
        super().__init__(**entries)
        self.kind = kind

    def __missing__(self, name):
        close = difflib.get_close_matches(str(name), list(self), n=1, cutoff=0.7)
        hint = f" Did you mean '{close[0]}'?" if close else ""
        known = ", ".join(sorted(self))
        raise UnknownNameError(f"No {self.kind} named '{name}'.{hint} Known: {known}.")
