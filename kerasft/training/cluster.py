"""The processes that `TF_CONFIG` names, and which of them this one is.

It is what `kerasft launch` and clusters write for TensorFlow; JAX is told the same.
"""

import json
import os
import re
import signal
import sys
import threading
from contextlib import contextmanager
from dataclasses import dataclass

from kerasft._errors import SettingsError


@dataclass(frozen=True)
class Cluster:
    """Processes that train together.

    Args:
        addresses: of all, in one order for all.
        number: this process's place among them.
    """

    addresses: tuple[str, ...] = ()
    number: int = 0


def named_cluster() -> Cluster:
    """The processes of `TF_CONFIG`, none where it is not set.

    Raises:
        SettingsError: it is no cluster in JSON, has an address twice or without a
            port, or does not say which of several processes this one is.
    """
    told = os.environ.get("TF_CONFIG")
    if not told:
        return Cluster()
    try:
        content = json.loads(told)
        jobs = content.get("cluster", {})
        if any(not isinstance(names, list) for names in jobs.values()):
            raise TypeError("addresses are no list")
        everyone = [(job, i) for job in sorted(jobs) for i in range(len(jobs[job]))]
        addresses = tuple(jobs[job][i] for job, i in everyone)
        task = content.get("task") or {}
        own = (task.get("type"), task.get("index"))
    except (ValueError, AttributeError, TypeError, KeyError) as error:
        raise _wrong(told, "is no cluster in JSON") from error
    strange = [one for one in addresses if not re.fullmatch(r"\S+:\d+", str(one))]
    if strange:
        raise _wrong(told, f"has no port behind {', '.join(map(str, strange))}")
    if len(everyone) < 2:
        return Cluster(addresses)
    twice = sorted({one for one in addresses if addresses.count(one) > 1})
    if twice:
        raise _wrong(told, f"names {', '.join(twice)} twice")
    if own not in everyone:
        names = ", ".join(f"{job} {i}" for job, i in everyone)
        given = f"{own[0]} {own[1]}" if task else "missing"
        raise _wrong(told, f"names {names}, and its task is {given}, none of them")
    return Cluster(addresses, everyone.index(own))


@contextmanager
def joining(cluster: Cluster):
    """Say whom this process waits for; meanwhile Ctrl-C and SIGTERM end it at once.

    The waiting is not Python's, so that handlers of Python would not be called.
    """
    others = [one for i, one in enumerate(cluster.addresses) if i != cluster.number]
    if others:
        sys.stderr.write(f"Waiting for the workers {', '.join(others)} ...\n")
        sys.stderr.flush()
    known = (signal.SIGINT, signal.SIGTERM)
    if threading.current_thread() is not threading.main_thread():
        known = ()  # Handlers are the main thread's.
    before = {number: signal.signal(number, signal.SIG_DFL) for number in known}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler or signal.SIG_DFL)


def _wrong(told, what):
    return SettingsError(
        f"TF_CONFIG {what}: {told!r:.300}\nIt must be like "
        '\'{"cluster": {"worker": ["host1:2222", "host2:2222"]}, "task": {"type": '
        '"worker", "index": 0}}\', with the index of each process. Unset it to train '
        "on this machine alone."
    )
