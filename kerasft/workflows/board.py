"""Start TensorBoard on what runs have logged.

A run folder, a folder of logs or nothing in; a server until Ctrl-C out. The trap: logs
lie below the folder that the run was started in, so that is where they are looked for.
"""

import re
import threading
from dataclasses import dataclass
from pathlib import Path

from kerasft._errors import SettingsError
from kerasft.training.settings import Settings, between, setting
from kerasft.workflows.console import RESULTS
from kerasft.workflows.run_folder import RECIPE, logs_of

EVENTS = "*tfevents*"


@dataclass(frozen=True, kw_only=True)
class BoardSettings(Settings):
    """Board."""

    run: str = setting(
        "tb_logs", "run folder, search, or folder of logs", positional=True
    )
    port: int = setting(6006, "of the server; 0: any free one", between(0, 65536))
    host: str = setting(
        "localhost", "that may connect; 0.0.0.0: every machine, without a password"
    )


def board(settings: BoardSettings):
    """Show the logs of runs in TensorBoard, until Ctrl-C.

    Raises:
        SettingsError: there are no logs, or the port is taken.
    """
    logs = log_folder(settings.run)
    from kerasft.training.board import serve

    address = serve(logs, settings.host, settings.port)
    RESULTS.print(f"TensorBoard shows {logs} at {address} (Ctrl-C ends it)")
    threading.Event().wait()


def log_folder(run: str) -> Path:
    """The logs that are meant.

    Raises:
        SettingsError: there are none; says where they were looked for.
    """
    folder = Path(run).expanduser()
    places = [folder]
    for name in (RECIPE, "search.yaml"):
        if (folder / name).exists():
            text = (folder / name).read_text("utf-8")
            told = re.search(r"^tensorboard: (?!null$)(.+)$", text, re.MULTILINE)
            named = told[1].strip("'\"") if told else None
            places.insert(0, Path(logs_of(named, folder)))
    for place in places:
        if next(place.rglob(EVENTS), None):
            return place
    raise SettingsError(
        f"There are no TensorBoard logs in {', '.join(map(str, places))}. Name a run "
        "folder or a folder of logs, from the folder that the run was started in."
    )
