"""A worker of a search on several machines: it asks the chief for trials."""

import os
import time
from pathlib import Path

from kerasft._errors import SettingsError
from kerasft.workflows.console import ERRORS, RESULTS
from kerasft.workflows.search_cluster import NAMES, address, wait_for_chief
from kerasft.workflows.search_oracle import client_of
from kerasft.workflows.search_results import SETTINGS, other_settings
from kerasft.workflows.search_work import recipe_of, tell
from kerasft.workflows.trial_processes import places, start, take_ended

PAUSE = 0.5  # seconds between two looks at the trials


class Worker:
    """Trials on this machine, of a search that another machine keeps.

    Args:
        settings: of the search; the chief's, but for `jobs`.
        declare: what gives a trial's settings, of KerasTuner's `hp`.
        sign: 1 where more is better, -1 where less is.
    """

    def __init__(self, settings, declare, sign):
        self.settings, self.declare = settings, declare
        self.folder = Path(settings.out).expanduser()
        self.name = os.environ[NAMES[0]]
        self.oracle = client_of(settings, declare, sign)  # Connects when it asks.
        self.places = dict(enumerate(places(settings.jobs)))
        self.running = {}  # place -> Running

    def work(self):
        """Run trials until the chief has no more.

        Raises:
            SettingsError: the chief is gone, or is a search with other settings or in
                another folder.
        """
        ERRORS.print(f"{self.name}: asking the chief at {address()} for trials ...")
        try:
            wait_for_chief()
            self._raise_unless_alike()
            while self.places or self.running:
                self._begin()
                if not self._end():
                    time.sleep(PAUSE)
        except Exception as error:
            if not type(error).__module__.startswith("grpc"):
                raise
            raise SettingsError(
                f"The chief at {address()} does not answer. Start it again by the same "
                "command, then this worker: both go on."
            ) from error
        finally:
            for one in self.running.values():
                one.stop()
        RESULTS.print(f"{self.name}: the chief has no more trials.")

    def _raise_unless_alike(self):
        if not (self.folder / SETTINGS).exists():
            raise SettingsError(
                f"{self.folder / SETTINGS} of the chief is not here: `out` has to be a "
                "folder that chief and workers share."
            )
        differing = other_settings(self.folder, self.settings)
        if differing:
            raise SettingsError(
                f"The chief searches with other settings ({'; '.join(differing)}). "
                "Give all machines the same recipe."
            )

    def _begin(self):
        """Give each free place a trial; a place that gets none any more is left."""
        for place, variables in list(self.places.items()):
            if place in self.running:
                continue
            wait_for_chief()
            trial = self.oracle.create_trial(f"{self.name} place {place}")
            if trial.status == "STOPPED":
                del self.places[place]
            elif trial.status == "RUNNING":
                told = recipe_of(trial, self.settings, self.declare, self.folder)
                self.running[place] = start(trial, *told, variables)

    def _end(self):
        """Tell the chief of trials that have ended; whether there were any."""
        ended = take_ended(self.running)
        for trial, result in ended:
            tell(self.oracle, trial, result, self.settings.monitor)
            came = result.get("score", result.get("reason"))
            RESULTS.print(f"{self.name}: trial {trial.trial_id}: {came}")
        return bool(ended)
