"""The trials of a search at work: begun, watched, told to KerasTuner.

The trap: what lies in the folder must tell at any moment how to go on, for a search
takes hours and may be killed.
"""

import shutil
import time

from kerasft._errors import SettingsError
from kerasft.workflows import run_folder
from kerasft.workflows.console import ERRORS
from kerasft.workflows.flags import changed
from kerasft.workflows.search_cluster import NAMES, OWN, others, role
from kerasft.workflows.search_oracle import values_of
from kerasft.workflows.search_results import (
    Found,
    found_in,
    remove_weights,
    trial_folder,
)
from kerasft.workflows.search_screen import Screen
from kerasft.workflows.trial_processes import places, start, take_ended

PAUSE = 0.2  # seconds between two looks at the trials


class Search:
    """The trials of one search, until the oracle has no more.

    Args:
        settings: of the search.
        declare: what gives a trial's settings, of KerasTuner's `hp`.
        sign: 1 where more is better, -1 where less is.
        folder: of the search.
        oracle: of KerasTuner.
    """

    def __init__(self, settings, declare, sign, folder, oracle):
        self.settings, self.declare, self.sign = settings, declare, sign
        self.folder, self.oracle = folder, oracle
        self.places = places(settings.jobs)
        self.running = {}  # place -> Running
        self.refusals = set()
        self.waits = False
        self.known = 0  # Trials that have ended, in this process or another.

    def work(self) -> Found:
        """Run them."""
        most = min(self.settings.trials, getattr(self.oracle, "size", 10**9))
        with Screen(most, self.settings.jobs) as screen:
            screen.go_on(self._found())
            try:
                while self._begin() or self.running or others(self.oracle):
                    self._tell_of_others()
                    screen.show(self._found())
                    if not self._end():
                        time.sleep(PAUSE)
                    self._take_note()
                screen.show(self._found())
            finally:
                for one in self.running.values():
                    one.stop()
        return self._found()

    def _begin(self):
        """Give each free place a trial; whether one was given."""
        began = False
        for place, variables in enumerate(self.places):
            if place in self.running:
                continue
            trial = self.oracle.create_trial(f"{OWN}{place}")
            if trial.status != "RUNNING":
                continue
            told = recipe_of(trial, self.settings, self.declare, self.folder)
            self.running[place] = start(trial, *told, variables)
            began = True
        return began

    def _end(self):
        """Tell the oracle of trials that have ended; whether there were any."""
        ended = take_ended(self.running)
        for trial, result in ended:
            tell(self.oracle, trial, result, self.settings.monitor)
            self._stop_if_refused(result)
        return bool(ended)

    def _tell_of_others(self):
        """Say once whom this machine waits for when it has nothing to do itself."""
        waiting = [] if self.running else others(self.oracle)
        if waiting and not self.waits:
            ERRORS.print(
                f"Waiting for {', '.join(waiting)}. If one of them is gone, start it "
                "again; or end this search (Ctrl-C) and go on without workers, by the "
                f"same command without {', '.join(NAMES)}."
            )
        self.waits = bool(waiting)

    def _take_note(self):
        """Write down what has ended since the last look, here or elsewhere."""
        ended = len(self.oracle.end_order)
        if ended == self.known:
            return
        self.known, found = ended, self._found()
        found.write()
        if not self.settings.keep_all:
            remove_weights(found)

    def _stop_if_refused(self, result):
        """What refuses the first two trials in the same words is no trial's value."""
        if role() is not None:
            return  # Others have begun, too.
        self.refusals.add(result["reason"] if result.get("refused") else None)
        ended = [one for one in self._found().trials if one["state"] != "running"]
        if len(ended) != 2 or len(self.refusals) > 1 or None in self.refusals:
            return
        for one in self.running.values():
            one.stop()
        shutil.rmtree(self.folder)  # It holds nothing but refusals.
        raise SettingsError(
            f"The first two trials were refused, as all would be: {ended[0]['reason']}"
        )

    def _found(self):
        trials = dict(self.oracle.trials)  # Others may add to them meanwhile.
        told = {name: values_of(trial) for name, trial in trials.items()}
        monitor = self.settings.monitor
        return found_in(self.oracle, self.folder, monitor, self.sign, told)


def recipe_of(trial, settings, declare, folder):
    """The settings of a trial's run, and the values that people are told."""
    run = settings.run
    changes = dict(declare(trial.hyperparameters))
    place = trial_folder(folder, trial.trial_id)
    logs = run_folder.logs_of(run.tensorboard, folder)
    changes |= {"out": str(place), "tensorboard": f"{logs}/{trial.trial_id}"}
    if settings.algorithm == "hyperband":
        changes["epochs"] = trial.hyperparameters.values["tuner/epochs"]
    return changed(run, changes), values_of(trial)


def tell(oracle, trial, result, monitor):
    """Tell KerasTuner what came of a trial."""
    score = result.get("score")
    if score is None:
        trial.status, trial.message = "FAILED", result["reason"]
    else:
        trial.status = "COMPLETED"
        oracle.update_trial(trial.trial_id, {monitor: score}, step=0)
    oracle.end_trial(trial)
