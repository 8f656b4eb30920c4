"""One process at a time trains in a folder.

The lock is the system's (flock): it ends with its process, however that ends, so there
is no stale one to remove.
"""

import contextlib
import os
import platform
import time
from pathlib import Path

from kerasft._errors import SettingsError

FILE = "lock"
_held = {}


class RunLock:
    """Holds the lock of a folder until it is released.

    Args:
        folder: made if missing.

    Raises:
        SettingsError: another process holds it: says which, where and since when.
    """

    def __init__(self, folder: Path):
        folder.mkdir(parents=True, exist_ok=True)
        self._key = folder.resolve()
        if self._key in _held:  # Of a fit of this process that an error has ended.
            _held.pop(self._key).release()
        self._file = (folder / FILE).open("a+", encoding="utf-8")
        if not _locked(self._file):
            self._file.seek(0)
            holder = self._file.read().strip() or "another process"
            self._file.close()
            raise SettingsError(
                f"{folder}: {holder} trains there now. Wait for it, or name another "
                "folder."
            )
        since = time.strftime("%Y-%m-%d %H:%M:%S")
        self._file.truncate(0)
        self._file.write(f"process {os.getpid()} on {platform.node()}, since {since},")
        self._file.flush()
        _held[self._key] = self

    def release(self):
        """Let others in."""
        _held.pop(self._key, None)
        self._file.close()


def _locked(file):
    """Whether the lock is ours now; systems without flock have none."""
    with contextlib.suppress(ImportError):
        import fcntl

        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
    return True
