"""What all workers know before one of them acts: a snapshot is due, the fit is to end.

None can begin a snapshot alone. Metrics are sums over the workers when they are read,
and the others, in their next step, would be asked for another sum. So what one wishes
is told to all at moments that are the same step for all, by a small sum over workers.
That is made about once a second; how many steps that is they agree on, too.
"""

import time

SECONDS = 1.0
STEPS = 100


class Agreement:
    """Wishes of all workers, which ask at the same moments of a fit.

    Args:
        total: list of numbers -> their sums over the workers; None: there is but one.
    """

    def __init__(self, total=None):
        self.several = total is not None
        self._total = total
        self._steps, self._passed, self._began = 1, 0, time.monotonic()

    def __call__(self, *wishes, now=False):
        """Which of the wishes any worker has; of several workers none between times.

        Args:
            *wishes: of this worker, each a bool.
            now: ask all at this moment; the same for all.
        """
        if not self.several:
            return wishes
        self._passed += 1
        if self._passed < self._steps and not now:
            return (False,) * len(wishes)
        seconds = (time.monotonic() - self._began) / self._passed
        *wished, seconds, workers = self._total([*map(float, wishes), seconds, 1.0])
        steps = SECONDS * workers / max(seconds, 1e-6)
        self._steps = int(min(max(steps, 1), STEPS))
        self._passed, self._began = 0, time.monotonic()
        return tuple(one > 0 for one in wished)
