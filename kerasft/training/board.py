"""TensorBoard's own server, on a folder of logs."""

import socket
from pathlib import Path

from tensorboard import program

from kerasft._errors import SettingsError


def serve(logs: Path, host: str = "localhost", port: int = 6006) -> str:
    """Start the server in a thread of this process.

    Args:
        logs: its runs are the folders below.
        host: that may connect.
        port: 0: any free one.

    Returns:
        Its address.

    Raises:
        SettingsError: the port is taken, or the host is none of this machine.
    """
    _raise_if_taken(host, port)
    server = program.TensorBoard()
    arguments = ["--logdir", str(logs), "--host", host, "--port", str(port)]
    server.configure(argv=["tensorboard", *arguments])
    try:
        return server.launch()
    except program.TensorBoardServerException as error:
        raise _unheard(host, port, error) from error


def _raise_if_taken(host, port):
    """Look before the long work of starting it."""
    try:
        with socket.create_server((host, port)):
            pass
    except OSError as error:
        raise _unheard(host, port, error.strerror) from error


def _unheard(host, port, why):
    return SettingsError(
        f"TensorBoard cannot listen on {host}:{port}: {why}. Give another --port, or "
        "end what has this one."
    )
