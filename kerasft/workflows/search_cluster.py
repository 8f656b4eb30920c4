"""One search on several machines: KerasTuner's chief and its workers.

The environment says who is who, as KerasTuner has it: `KERASTUNER_TUNER_ID` ("chief",
or another name for each worker), `KERASTUNER_ORACLE_IP` and `KERASTUNER_ORACLE_PORT` of
the chief. All see the same folder. The traps: KerasTuner's server does not hear of a
worker that dies, so the chief waits for its trial until it is started anew; and a chief
that is started anew must not give away what a worker is still at.
"""

import os
import socket
import time
from threading import Thread

from kerasft._errors import SettingsError
from kerasft.workflows.console import ERRORS

NAMES = ("KERASTUNER_TUNER_ID", "KERASTUNER_ORACLE_IP", "KERASTUNER_ORACLE_PORT")
CHIEF, WORKER = "chief", "worker"
OWN = "place "
"""What the names of a chief's own places begin with."""
LONGEST_WAIT = 3600
STARTING = 1.0
"""Seconds within which a server that cannot be has failed."""


def role() -> str | None:
    """`CHIEF`, `WORKER`, or None where the environment tells of no other machines.

    Raises:
        SettingsError: it tells a part of it.
    """
    missing = [name for name in NAMES if not os.environ.get(name)]
    if len(missing) == len(NAMES):
        return None
    if missing:
        raise SettingsError(
            f"A search on several machines needs {', '.join(NAMES)}; there is no "
            f"{', '.join(missing)}. Set all of them, or none."
        )
    return CHIEF if CHIEF in os.environ[NAMES[0]] else WORKER


def address() -> str:
    """Of the chief."""
    return ":".join(os.environ[name] for name in NAMES[1:])


def wait_for_chief():
    """Wait until the chief answers; gRPC itself would look ever more seldom.

    Raises:
        SettingsError: it has not within an hour.
    """
    until = time.monotonic() + LONGEST_WAIT
    if not _answers():
        ERRORS.print(f"The chief at {address()} does not answer: waiting for it ...")
    while not _answers():
        if time.monotonic() > until:
            raise SettingsError(f"The chief at {address()} did not answer in an hour.")
        time.sleep(STARTING)


def _answers():
    """Whether somebody serves the chief's address."""
    host, port = (os.environ[name] for name in NAMES[1:])
    try:
        socket.create_connection((host, int(port)), STARTING).close()
    except OSError:
        return False
    return True


def serve(tuner):
    """Let workers ask for trials from now on, until this process ends.

    Raises:
        SettingsError: the address cannot be served.
    """
    if _answers():
        raise _unserved("another process answers there")  # gRPC would share the port.
    failed = []

    def work():
        try:
            tuner.search()
        except Exception as error:
            failed.append(error)

    thread = Thread(target=work, daemon=True)
    thread.start()
    thread.join(STARTING)
    if failed:
        raise _unserved(failed[0]) from failed[0]


def _unserved(why):
    return SettingsError(
        f"{address()} cannot be served: {why}. Set {' and '.join(NAMES[1:])} to an "
        "address of this machine that is free."
    )


def keep_at_work(oracle, ongoing):
    """Let a chief that goes on wait for the trials that workers may still be at.

    Args:
        oracle: reloaded, so that it would do all of them anew.
        ongoing: who was at which trial.
    """
    for name, trial in ongoing.items():
        if role() == CHIEF and not name.startswith(OWN):
            oracle.ongoing_trials[name] = oracle.trials[trial]
            oracle.tuner_ids.add(name)
            oracle._retry_queue.remove(trial)


def others(oracle) -> list[str]:
    """Who has a trial, or has not heard yet that there are no more."""
    if role() != CHIEF:
        return []
    names = {*oracle.ongoing_trials, *oracle.tuner_ids}
    return sorted(name for name in names if not name.startswith(OWN))
