"""SIGTERM and Ctrl-C, which wait until a fit has come to where it can end."""

import signal
import sys
import threading

SIGNALS = (signal.SIGTERM, signal.SIGINT)


class EndSignals:
    """What came while somebody listens. A second signal is not waited with."""

    def __init__(self):
        self._came, self._before = None, {}

    def listen(self):
        """Begin; outside of the main thread nothing can be heard."""
        if threading.current_thread() is not threading.main_thread():
            return
        for number in SIGNALS:
            self._before[number] = signal.signal(number, self._note)

    def leave(self):
        """Let them do again what they did before."""
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._came, self._before = None, {}

    def came(self) -> list[bool]:
        """Of each of `SIGNALS`, whether it came."""
        return [self._came == number for number in SIGNALS]

    def _note(self, number, frame):
        if self._came:
            signal.signal(number, self._before.get(number, signal.SIG_DFL))
            signal.raise_signal(number)
        self._came = number


def end_by(asked):
    """End the process as the first signal that is asked for does.

    Args:
        asked: of each of `SIGNALS`, whether it is.

    Raises:
        KeyboardInterrupt: by Ctrl-C.
        SystemExit: by SIGTERM, with the exit code 143.
    """
    number = SIGNALS[list(asked).index(True)]
    if number == signal.SIGINT:
        raise KeyboardInterrupt
    sys.exit(128 + number)
