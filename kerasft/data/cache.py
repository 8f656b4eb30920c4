"""Where kerasft keeps what it can make again: large corpora, encoded examples.

`KERASFT_CACHE` names the folder; without it, it is `~/.cache/kerasft`. Everything in
it may be deleted while no program is running.
"""

import os
from pathlib import Path


def cache_folder() -> Path:
    """The cache folder, made if it is not there.

    Raises:
        OSError: it cannot be made.
    """
    folder = Path(os.environ.get("KERASFT_CACHE") or Path.home() / ".cache" / "kerasft")
    folder.mkdir(parents=True, exist_ok=True)
    return folder
