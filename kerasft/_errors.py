"""The root of every error a user can mend.

The command line turns a `KerasftError` into one message and exit code 2; anything
else is a defect of ours and keeps its traceback. Each part subclasses it together
with the built-in that a caller would catch anyway.
"""


class KerasftError(Exception):
    """Something given to kerasft does not fit: says what, what fits, and what to do."""


class DataError(KerasftError, ValueError):
    """Rows or labels that cannot be used as they are."""


class CheckpointError(KerasftError, ValueError):
    """A checkpoint folder that cannot be read, or does not fit the model."""


class SettingsError(KerasftError, ValueError):
    """A setting outside what it may be, or two settings that exclude each other."""
